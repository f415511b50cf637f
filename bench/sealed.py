"""Precomputed SRTP for every callee, under one key, so that encryption takes no time in the generator."""

from __future__ import annotations

import base64
import re
from functools import cache
from struct import Struct
from typing import Final

from pylibsrtp import Policy, Session

from bench.probe import sdp

KEY: Final = bytes(range(30))
"""Master key and salt of the callees. To the relay, each callee is a separate stream."""
SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
_HEADER: Final = Struct("!BBHII")
_SSRC: Final = 0x5EA1ED


def answer(port: int, offer: str) -> str:
    """Make an SDP that accepts SUITE from the offer (RFC 4568 §5.1.2)."""
    tag = re.search(rf"^a=crypto:(\d+) {SUITE} ", offer, re.MULTILINE)
    profile = re.search(r"^m=audio \d+ (\S+)", offer, re.MULTILINE)
    assert tag, f"no {SUITE} was offered"
    assert profile
    return sdp(port, profile[1], f"a=crypto:{tag[1]} {SUITE} inline:{base64.b64encode(KEY).decode()}")


@cache
def packets(count: int) -> list[str]:
    """Return consecutive SRTP packets of 20 ms of PCMU, in hex (RFC 3711)."""
    policy = Policy(key=KEY, ssrc_type=Policy.SSRC_ANY_OUTBOUND)
    session = Session(policy)
    payload = bytes(range(96, 256))
    return [
        session.protect(
            _HEADER.pack(0x80, 0, (1000 + n) & 0xFFFF, (160 * n) & 0xFFFFFFFF, _SSRC) + payload
        ).hex()
        for n in range(count)
    ]
