"""SIP messages without what lets somebody in: keys, tokens, and what answers a challenge."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    rb"^(?:Proxy-)?Authorization[ \t]*:[ \t]*+(?!Digest[ \t])(?P<other>[^\r\n]+)"
    rb"|(?<=[, \t])response[ \t]*=[ \t]*(?P<response>[^,\r\n]+)"
    rb"|^X-Screendoor-Token[ \t]*:[ \t]*(?P<token>[^\r\n]+)"
    rb"|\binline:(?P<inline>[^|\s;]+)"
    rb"|^a=key-mgmt:(?P<managed>[^\r\n]+)"
    rb"|^k=(?P<key>[^\r\n]+)",
    re.IGNORECASE | re.MULTILINE,
)


def masked(octets: bytes) -> bytes:
    """The same message, as long as it was, with `x` for each octet of a secret.

    Of a Digest answer (RFC 7616 §3.4) all but `response` stays: the rest tells why one was not taken.
    """
    return _SECRETS.sub(_crossed_out, octets)


def _crossed_out(found: re.Match[bytes]) -> bytes:
    assert found.lastgroup is not None, "each kind of secret has a name"
    whole, start = found[0], found.start(found.lastgroup) - found.start()
    return whole[:start] + b"x" * (len(whole) - start)
