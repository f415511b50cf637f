"""SRTP and SRTCP with one peer (RFC 3711): what we send is protected, what it sends is opened, or dropped.

libsrtp does it, but for AES_256_CM (`aes_cm`). Its functions are called with one buffer for all, which saves
a third of the time that `pylibsrtp`'s own class takes.
"""

from __future__ import annotations

from typing import Any, Protocol

from pylibsrtp import Policy
from pylibsrtp._binding import ffi, lib

from proxy.media.aes_cm import MAX_BYTES, MAX_SSRCS, CmReceiver, CmSender
from proxy.media.rtp import HEADER_BYTES, is_rtcp
from proxy.media.sdes import AEAD_128_GCM, AEAD_256_GCM, AES_CM_128_32, AES_CM_128_80, Crypto


class _Octets(Protocol):
    """A buffer of cffi, which has no types: a part of it is copied."""

    def __getitem__(self, part: slice) -> bytes: ...


_PROFILES = {
    AES_CM_128_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    AES_CM_128_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    AEAD_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    AEAD_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_UNAUTHENTIC = (7, 14)
"""Of libsrtp: the tag is wrong; the packet does not even say that it is encrypted."""
_buffer = ffi.new("char[]", 4096)
_content: _Octets = ffi.buffer(_buffer)
_length = ffi.new("int *")
_move = ffi.memmove


class Sender(Protocol):
    """Protects what we send to one peer."""

    def protect(self, packet: bytes) -> bytes | None:
        """The SRTP packet; None for one that must not be sent: its sequence number is used, or too old."""
        ...

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The SRTCP packet."""
        ...


class Receiver(Protocol):
    """Opens what one peer sends."""

    @property
    def unauthentic(self) -> int:
        """Packets that its key does not fit: forged, changed on the way, or of another key."""
        ...

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet, or RTCP by its second octet (RFC 5761 §4); None drops it."""
        ...

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet; None drops it."""
        ...


def sender(ours: Crypto) -> Sender:
    """Who protects what we send under this key, from its first packet on."""
    return _LibSender(ours) if ours.suite in _PROFILES else CmSender(ours)


def receiver(theirs: Crypto, before: Receiver | None = None) -> Receiver:
    """Who opens what comes under this key, and what is still on its way under the one `before`."""
    made = _LibReceiver(theirs) if theirs.suite in _PROFILES else CmReceiver(theirs)
    if before is None:
        return made
    return _Successor(made, before.made if isinstance(before, _Successor) else before)


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


class _Successor:
    """The receiver of a new key, and that of the old one until the first packet under the new."""

    __slots__ = ("_before", "made")

    def __init__(self, made: _LibReceiver | CmReceiver, before: Receiver) -> None:
        self.made = made
        self._before: Receiver | None = before

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
        """One under the old key is no forgery."""
        if clear is not None:
            self.made.unauthentic = count
        return clear


def _session(crypto: Crypto, direction: int) -> tuple[Any, Any]:
    """A session of libsrtp, freed with the first of these, and the pointer to it."""
    policy = Policy(crypto.master, direction, srtp_profile=_PROFILES[crypto.suite])
    session = ffi.gc(ffi.new("srtp_t *"), lambda made: lib.srtp_dealloc(made[0]))
    if status := lib.srtp_create(session, policy._policy):
        raise RuntimeError(f"libsrtp makes no session: status {status}")
    return session, session[0]
