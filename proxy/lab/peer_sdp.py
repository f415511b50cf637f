"""The little that a test peer needs of SDP; deliberately not the parser under test."""

from __future__ import annotations

import re
from typing import Protocol

from proxy.transport.flow import Address

_CONNECTION = re.compile(rb"^c=IN IP[46] ([^\s/]+)", re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio (\d+) (\S+)((?: \d+)+)", re.MULTILINE)
_DIRECTION = re.compile(rb"^a=(sendrecv|sendonly|recvonly|inactive)\r\n", re.MULTILINE)
_VOICES = (b"0", b"8")
"""Static payload types of PCMU and PCMA, the only formats that a test peer supports."""


class Audio(Protocol):
    """A peer's audio: an RTP port that starts sending once it knows the remote address."""

    def sdp(self) -> bytes:
        """Return an SDP with the port."""

    def start(self, remote: Address, payload_type: int) -> None:
        """Start sending to this address; may be called again with another one."""

    def secure(self, ours: bytes, theirs: bytes) -> None:
        """Use SRTP as these two SDPs agree."""
        ...

    def press(self, key: str) -> None:
        """Press a key (RFC 4733)."""

    def stop(self) -> None:
        """Stop sending."""


def place(theirs: bytes, ours: bytes) -> tuple[Address, int] | None:
    """Where their SDP wants audio, and the first of their formats that we support; None if it wants none."""
    connection, audio, own = _CONNECTION.search(theirs), _AUDIO.search(theirs), _AUDIO.search(ours)
    direction = _DIRECTION.search(theirs)
    if connection is None or audio is None or own is None or audio[1] == b"0":
        return None
    if direction is not None and direction[1] in (b"sendonly", b"inactive"):
        return None
    shared = [voice for voice in audio[3].split() if voice in _VOICES and voice in own[3].split()]
    return ((connection[1].decode(), int(audio[1])), int(shared[0])) if shared else None


def talk(audio: Audio, theirs: bytes, ours: bytes) -> None:
    """Start sending to where their SDP wants audio, with SRTP if agreed; stop if it wants none."""
    if (heard := place(theirs, ours)) is None:
        return audio.stop()
    audio.secure(ours, theirs)
    audio.start(*heard)


def moved_to(template: bytes, audio: Audio | None) -> bytes:
    """Replace address and port in an SDP template by those of `audio`."""
    if audio is None:
        return template
    own = audio.sdp()
    connection, port = _CONNECTION.search(own), _AUDIO.search(own)
    if connection is None or port is None:
        return own
    network = b"IN IP6 " if b":" in connection[1] else b"IN IP4 "
    moved = re.sub(rb"IN IP4 \S+", network + connection[1], template)
    moved = re.sub(rb"^m=audio \d+", b"m=audio " + port[1], moved, flags=re.MULTILINE)
    return re.sub(rb"^a=rtcp:\d+", b"a=rtcp:%d" % (int(port[1]) + 1), moved, flags=re.MULTILINE)


def directed(sdp: bytes, direction: str) -> bytes:
    """Replace the direction of an SDP; `sendonly` is hold (RFC 3264 §8.4)."""
    return _DIRECTION.sub(b"", sdp) + f"a={direction}\r\n".encode()


def revised(sdp: bytes, version: int) -> bytes:
    """Add `version` to the version in an SDP's origin: each change increments it (RFC 3264 §8)."""

    def count_up(origin: re.Match[bytes]) -> bytes:
        return origin[1] + str(int(origin[2]) + version).encode()

    return re.sub(rb"^(o=\S+ \S+ )(\d+)", count_up, sdp, count=1, flags=re.MULTILINE)
