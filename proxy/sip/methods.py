"""The registered SIP methods, whether or not we implement them."""

from __future__ import annotations

KNOWN_METHODS = frozenset(
    (
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    )
)
"""The IANA registry. A registered method that we do not implement gets 405 (RFC 3261 §8.2.1), an unrecognised
one 501 (§21.5.2; RFC 4475 §3.1.1.2, §3.1.1.5)."""
