"""SRTP keys of a simulated peer: a=crypto lines in its SDP, and SRTP by pylibsrtp.

Deliberately not the code under test, except for AES_256_CM, which pylibsrtp lacks.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha512
from typing import Final

from pylibsrtp import Error, Policy, Session

from proxy.media.sdes import Crypto
from proxy.media.sdes import parse as parse_crypto
from proxy.media.srtp import receiver, sender

USUAL: Final = "AES_CM_128_HMAC_SHA1_80"
_PROFILES: Final = {
    USUAL: (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}
_BYTES: Final = {name: size for name, (_, size) in _PROFILES.items()} | {
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
}
_PROTOCOL = re.compile(rb"^(m=audio \d+) RTP/S?AVP ", re.MULTILINE)
_CRYPTO = re.compile(rb"^a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)[^\r\n]*\r\n", re.MULTILINE)


def offering(sdp: bytes, suites: tuple[str, ...] = (USUAL,), *, protocol: str = "RTP/SAVP") -> bytes:
    """Add a key for each suite to an SDP that has none."""
    for tag, suite in enumerate(suites, 1):
        sdp += f"a=crypto:{tag} {suite} inline:{_key(suite, sdp)}\r\n".encode()
    return _under(sdp, protocol.encode())


def answering(sdp: bytes, offer: bytes) -> bytes:
    """Add a key for the offer's first suite to an SDP; unchanged if the offer has none."""
    asked = _PROTOCOL.search(offer)
    for tag, suite, _ in _CRYPTO.findall(offer):
        if asked is not None and suite.decode() in _BYTES:
            line = b"a=crypto:%b %b inline:%b\r\n" % (tag, suite, _key(suite.decode(), sdp).encode())
            return _under(sdp + line, asked[0].split()[2])
    return sdp


def protected(sdp: bytes) -> bool:
    """Whether the SDP has a key."""
    return _CRYPTO.search(sdp) is not None


def srtp_context(ours: bytes, theirs: bytes) -> SrtpContext | None:
    """The SRTP context that these two SDPs agree on; None: plain RTP."""
    mine = {tag: (suite, key) for tag, suite, key in _CRYPTO.findall(ours)}
    for tag, suite, key in _CRYPTO.findall(theirs):
        if tag in mine and mine[tag][0] == suite:
            return SrtpContext(suite.decode(), mine[tag][1].decode(), key.decode())
    return None


class SrtpContext:
    """SRTP with one peer, in both directions."""

    def __init__(self, suite: str, ours: str, theirs: str) -> None:
        """`ours` and `theirs` are keys as written in SDP."""
        self.keys = suite, ours, theirs
        self._out = _direction(suite, ours, Policy.SSRC_ANY_OUTBOUND)
        self._in = _direction(suite, theirs, Policy.SSRC_ANY_INBOUND)

    def protect(self, packet: bytes) -> bytes:
        return self._out.protect(packet)

    def unprotect(self, packet: bytes) -> bytes | None:
        """Decrypt a packet; None if it fails authentication."""
        try:
            return self._in.unprotect(packet)
        except Error:
            return None


class _Own:
    def __init__(self, crypto: Crypto) -> None:
        self._sender, self._receiver = sender(crypto), receiver(crypto)

    def protect(self, packet: bytes) -> bytes:
        return self._sender.protect(packet) or b""

    def unprotect(self, packet: bytes) -> bytes:
        clear = self._receiver.unprotect(packet)
        if clear is None:
            raise Error("dropped")
        return clear


def _direction(suite: str, key: str, way: int) -> Session | _Own:
    if suite not in _PROFILES:
        return _Own(parse_crypto(f"1 {suite} inline:{key}"))
    return Session(Policy(b64decode(key), way, srtp_profile=_PROFILES[suite][0]))


def _key(suite: str, sdp: bytes) -> str:
    """A key derived from the SDP: deterministic, but different for each SDP."""
    return b64encode(sha512(suite.encode() + sdp).digest()[: _BYTES.get(suite, 30)]).decode()


def _under(sdp: bytes, protocol: bytes) -> bytes:
    return _PROTOCOL.sub(rb"\1 " + protocol + b" ", sdp)
