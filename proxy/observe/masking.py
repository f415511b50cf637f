"""Masks the secrets in SIP messages: SRTP keys, tokens, and digest responses."""

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
"""Every message with a secret contains one of these; most contain none, which is faster to find out."""


def masked(octets: bytes) -> bytes:
    """The same message, of the same length, with `x` for each octet of a secret.

    Realm, nonce and the like of a digest response (RFC 7616 §3.4) stay: they show why one was refused.
    """
    lowered = octets.lower()
    return _SECRETS.sub(_mask, octets) if any(sign in lowered for sign in _SIGNS) else octets


def _mask(found: re.Match[bytes]) -> bytes:
    assert found.lastgroup is not None, "each kind of secret has a name"
    whole, start = found[0], found.start(found.lastgroup) - found.start()
    return whole[:start] + b"x" * (len(whole) - start)
