"""SIP messages without what lets somebody in: keys, tokens, and what answers a challenge."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    rb"^(?:Proxy-)?Authorization[ \t]*:[ \t]*+(?!Digest[ \t])(?P<other>[^\r\n]+)"
    rb"|(?<=[, \t])(?:response|rspauth|username\*?)[ \t]*=[ \t]*(?P<answer>[^,\r\n]+)"
    rb"|^X-Screendoor-Token[ \t]*:[ \t]*(?P<token>[^\r\n]+)"
    rb"|\binline:(?P<inline>[^|\s;]+)"
    rb"|^a=key-mgmt:(?P<managed>[^\r\n]+)"
    rb"|^k=(?P<key>[^\r\n]+)",
    re.IGNORECASE | re.MULTILINE,
)

_SIGNS = (b"authorization", b"rspauth", b"x-screendoor-token", b"inline:", b"a=key-mgmt:", b"\nk=")
"""One of them is in every message with a secret; most have none, and to look for these is quicker."""


def masked(octets: bytes) -> bytes:
    """The same message, as long as it was, with `x` for each octet of a secret.

    Of a Digest answer (RFC 7616 §3.4) realm, nonce and the like stay: they tell why one was not taken.
    """
    small = octets.lower()
    return _SECRETS.sub(_crossed_out, octets) if any(sign in small for sign in _SIGNS) else octets


def _crossed_out(found: re.Match[bytes]) -> bytes:
    assert found.lastgroup is not None, "each kind of secret has a name"
    whole, start = found[0], found.start(found.lastgroup) - found.start()
    return whole[:start] + b"x" * (len(whole) - start)
