"""The few things a test peer must know of SDP; on purpose not the parser that it tests."""

from __future__ import annotations

import re
from typing import Protocol

from proxy.transport.flow import Address

_CONNECTION = re.compile(rb"^c=IN IP[46] ([^\s/]+)", re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio (\d+) (\S+)((?: \d+)+)", re.MULTILINE)
_DIRECTION = re.compile(rb"^a=(sendrecv|sendonly|recvonly|inactive)\r\n", re.MULTILINE)
_VOICES = (b"0", b"8")
"""Static payload types of PCMU and PCMA, the only formats a test peer speaks."""


class Audio(Protocol):
    """The voice of a peer: an RTP port that talks once it is told to whom."""

    def sdp(self) -> bytes:
        """Describe the port."""

    def start(self, remote: Address, payload_type: int) -> None:
        """Talk to this address from now on; may be called again with another."""

    def secure(self, ours: bytes, theirs: bytes) -> None:
        """Protect what is said and heard as these two SDPs agree."""
        ...

    def press(self, key: str) -> None:
        """Press a key (RFC 4733)."""

    def stop(self) -> None:
        """Fall silent."""


def place(theirs: bytes, ours: bytes) -> tuple[Address, int] | None:
    """Where their SDP wants audio, and in their first format that we have too; None if it wants none."""
    connection, audio, own = _CONNECTION.search(theirs), _AUDIO.search(theirs), _AUDIO.search(ours)
    direction = _DIRECTION.search(theirs)
    if connection is None or audio is None or own is None or audio[1] == b"0":
        return None
    if direction is not None and direction[1] in (b"sendonly", b"inactive"):
        return None
    shared = [voice for voice in audio[3].split() if voice in _VOICES and voice in own[3].split()]
    return ((connection[1].decode(), int(audio[1])), int(shared[0])) if shared else None


def talk(audio: Audio, theirs: bytes, ours: bytes) -> None:
    """Talk to where their SDP wants audio, protected as they agree; fall silent if it wants none."""
    if (heard := place(theirs, ours)) is None:
        return audio.stop()
    audio.secure(ours, theirs)
    audio.start(*heard)


def at_home(shape: bytes, audio: Audio | None) -> bytes:
    """An SDP of known shape, naming the port of `audio` instead of its own."""
    if audio is None:
        return shape
    own = audio.sdp()
    connection, port = _CONNECTION.search(own), _AUDIO.search(own)
    if connection is None or port is None:
        return own
    network = b"IN IP6 " if b":" in connection[1] else b"IN IP4 "
    moved = re.sub(rb"IN IP4 \S+", network + connection[1], shape)
    moved = re.sub(rb"^m=audio \d+", b"m=audio " + port[1], moved, flags=re.MULTILINE)
    return re.sub(rb"^a=rtcp:\d+", b"a=rtcp:%d" % (int(port[1]) + 1), moved, flags=re.MULTILINE)


def directed(sdp: bytes, direction: str) -> bytes:
    """The SDP with this direction instead of its own; `sendonly` is hold (RFC 3264 §8.4)."""
    return _DIRECTION.sub(b"", sdp) + f"a={direction}\r\n".encode()


def revised(sdp: bytes, version: int) -> bytes:
    """The SDP with `version` added to the version of its origin: each change counts it up (RFC 3264 §8)."""

    def count_up(origin: re.Match[bytes]) -> bytes:
        return origin[1] + str(int(origin[2]) + version).encode()

    return re.sub(rb"^(o=\S+ \S+ )(\d+)", count_up, sdp, count=1, flags=re.MULTILINE)
