"""The methods that SIP's documents define, whether or not we serve them."""

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
"""The IANA registry. A method in it that is not served is a 405 (RFC 3261 §8.2.1); any other is one that we
do not even recognise: 501 (§21.5.2), as RFC 4475 §3.1.1.2 and §3.1.1.5 have it."""
