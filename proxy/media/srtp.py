"""Encrypt and decrypt SRTP and SRTCP (RFC 3711), with libsrtp except for AES_256_CM (`aes_cm`).

libsrtp's functions are called with one shared buffer, which saves a third of the time that `pylibsrtp`'s own
class takes.
"""

from __future__ import annotations

from typing import Any, Protocol

from pylibsrtp import Policy
from pylibsrtp._binding import ffi, lib

from proxy.media.aes_cm import MAX_BYTES, MAX_SSRCS, CmReceiver, CmSender
from proxy.media.rtp import HEADER_BYTES, is_rtcp
from proxy.media.sdes import AEAD_128_GCM, AEAD_256_GCM, AES_CM_128_32, AES_CM_128_80, Crypto


class _Octets(Protocol):
    """The untyped buffer of cffi: slicing copies."""

    def __getitem__(self, part: slice) -> bytes: ...


_PROFILES = {
    AES_CM_128_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    AES_CM_128_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    AEAD_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    AEAD_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_UNAUTHENTIC = (7, 14)
"""libsrtp status codes: authentication failed; the packet is not marked as encrypted."""
_buffer = ffi.new("char[]", 4096)
_content: _Octets = ffi.buffer(_buffer)
_length = ffi.new("int *")
_move = ffi.memmove


class SrtpSender(Protocol):
    """Encrypts what we send to one peer."""

    def protect(self, packet: bytes) -> bytes | None:
        """The SRTP packet; None if it must not be sent, as its sequence number is used or too old."""
        ...

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The SRTCP packet."""
        ...


class SrtpReceiver(Protocol):
    """Decrypts what one peer sends."""

    @property
    def unauthentic(self) -> int:
        """Packets that failed authentication: forged, corrupted, or under another key."""
        ...

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet, or RTCP as its second octet says (RFC 5761 §4); None: drop it."""
        ...

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet; None: drop it."""
        ...


def sender(ours: Crypto) -> SrtpSender:
    """A sender for this key, starting afresh."""
    return _LibSender(ours) if ours.suite in _PROFILES else CmSender(ours)


def receiver(theirs: Crypto, before: SrtpReceiver | None = None) -> SrtpReceiver:
    """A receiver for this key, which also accepts packets in flight under the key of `before`."""
    made = _LibReceiver(theirs) if theirs.suite in _PROFILES else CmReceiver(theirs)
    if before is None:
        return made
    return _RekeyedReceiver(made, before.made if isinstance(before, _RekeyedReceiver) else before)


class _LibSender:
    __slots__ = ("_session", "_srtp")

    def __init__(self, ours: Crypto) -> None:
        self._session, self._srtp = _session(ours, Policy.SSRC_ANY_OUTBOUND)

    def protect(self, packet: bytes) -> bytes | None:
        size = len(packet)
        if size > MAX_BYTES:
            return None
        _move(_buffer, packet, size)
        _length[0] = size
        if lib.srtp_protect(self._srtp, _buffer, _length):
            return None
        return _content[: _length[0]]

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        size = len(packet)
        if not 8 <= size <= MAX_BYTES:
            return None
        _move(_buffer, packet, size)
        _length[0] = size
        if lib.srtp_protect_rtcp(self._srtp, _buffer, _length):
            return None
        return _content[: _length[0]]


class _LibReceiver:
    __slots__ = ("_known", "_session", "_srtp", "unauthentic")

    def __init__(self, theirs: Crypto) -> None:
        self._session, self._srtp = _session(theirs, Policy.SSRC_ANY_INBOUND)
        self._known: set[bytes] = set()
        self.unauthentic = 0

    def unprotect(self, packet: bytes) -> bytes | None:
        size = len(packet)
        if not HEADER_BYTES <= size <= MAX_BYTES or 192 <= packet[1] <= 223:
            return self.unprotect_rtcp(packet) if is_rtcp(packet) else None
        name = packet[8:12]
        if name not in self._known and len(self._known) >= MAX_SSRCS:
            return None
        _move(_buffer, packet, size)
        _length[0] = size
        if status := lib.srtp_unprotect(self._srtp, _buffer, _length):
            self.unauthentic += status in _UNAUTHENTIC
            return None
        self._known.add(name)
        return _content[: _length[0]]

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        size = len(packet)
        name = packet[4:8]
        if not 8 <= size <= MAX_BYTES or (name not in self._known and len(self._known) >= MAX_SSRCS):
            return None
        _move(_buffer, packet, size)
        _length[0] = size
        if status := lib.srtp_unprotect_rtcp(self._srtp, _buffer, _length):
            self.unauthentic += status in _UNAUTHENTIC
            return None
        self._known.add(name)
        return _content[: _length[0]]


class _RekeyedReceiver:
    """A receiver for a new key that falls back to the old one until the first packet under the new."""

    __slots__ = ("_before", "made")

    def __init__(self, made: _LibReceiver | CmReceiver, before: SrtpReceiver) -> None:
        self.made = made
        self._before: SrtpReceiver | None = before

    @property
    def unauthentic(self) -> int:
        return self.made.unauthentic

    def unprotect(self, packet: bytes) -> bytes | None:
        count, before = self.made.unauthentic, self._before
        clear = self.made.unprotect(packet)
        if clear is None and before is not None:
            return self._late(before.unprotect(packet), count)
        self._before = None
        return clear

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        count, before = self.made.unauthentic, self._before
        clear = self.made.unprotect_rtcp(packet)
        if clear is None and before is not None:
            return self._late(before.unprotect_rtcp(packet), count)
        self._before = None
        return clear

    def _late(self, clear: bytes | None, count: int) -> bytes | None:
        """A packet that is authentic under the old key is no failure."""
        if clear is not None:
            self.made.unauthentic = count
        return clear


def _session(crypto: Crypto, direction: int) -> tuple[Any, Any]:
    """A libsrtp session (freed with the first value), and the pointer to it."""
    policy = Policy(crypto.master, direction, srtp_profile=_PROFILES[crypto.suite])
    session = ffi.gc(ffi.new("srtp_t *"), lambda made: lib.srtp_dealloc(made[0]))
    if status := lib.srtp_create(session, policy._policy):
        raise RuntimeError(f"libsrtp cannot create a session: status {status}")
    return session, session[0]
