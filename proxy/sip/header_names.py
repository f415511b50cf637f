"""Header names and the canonical keys under which they compare (RFC 3261 §7.3.1, §7.3.3)."""

from __future__ import annotations

from proxy.sip.grammar import is_token

_COMPACT = {  # §7.3.3 and the IANA registry
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip

_COMMON = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events", "Authorization",
    "Call-ID", "Call-Info", "Contact", "Content-Disposition", "Content-Encoding", "Content-Length",
    "Content-Type", "CSeq", "Date", "Diversion", "Event", "Expires", "From", "History-Info", "Identity",
    "Max-Forwards", "Min-SE", "P-Asserted-Identity", "P-Attestation-Indicator", "P-Charging-Vector",
    "P-Early-Media", "P-Origination-ID", "P-Preferred-Identity", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "RAck", "Reason", "Record-Route", "Refer-To", "Referred-By", "Remote-Party-ID",
    "Require", "Resource-Priority", "Retry-After", "Route", "RSeq", "Server", "Session-Expires", "Subject",
    "Subscription-State", "Supported", "Timestamp", "To", "Unsupported", "User-Agent", "Via",
    "WWW-Authenticate", "X-Plivo-Stir-Verification", "X-Twilio-VerStat",
)  # fmt: skip

_MAX_SPELLINGS, _LONGEST_SPELLING = 2048, 64
"""Limits of `KEYS`: the number of spellings, and the length of one that is added."""

KEYS = {spelled: name.lower() for name in _COMMON for spelled in (name, name.lower())}
"""The key of each known spelling of a header name, so that reading a line takes a single look-up.

Prefilled with the common names; `learn_key` adds others when they are first seen.
"""
KEYS |= _COMPACT | {short.upper(): long for short, long in _COMPACT.items()}


def header_key(name: str) -> str:
    """The canonical key of a header name, compact or not: the long name in lower case."""
    return key_of(name) or name.lower()


def key_of(name: str) -> str:
    """The key of a header name; empty if the name is not a token."""
    return KEYS.get(name) or learn_key(name)


def learn_key(name: str) -> str:
    """The key of a spelling not in `KEYS` yet, added to it if there is room; empty if not a token."""
    if not is_token(name):
        return ""
    lower = name.lower()
    key = _COMPACT.get(lower, lower)
    if len(KEYS) < _MAX_SPELLINGS and len(name) <= _LONGEST_SPELLING:
        KEYS[name] = key
    return key
