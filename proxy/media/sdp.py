"""SDP (RFC 8866): parse, inspect the audio, encode. Unknown lines are kept, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise
from typing import NamedTuple

from proxy.media.formats import STATIC, AudioFormat

_MAX_SECTIONS = 32


class SdpError(ValueError):
    """The body is not SDP, or is invalid."""


class Direction(Enum):
    """Direction of media, from the view of the author of the SDP (RFC 8866 §6.7, RFC 3264 §5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    __hash__ = object.__hash__  # members compare by identity; `Enum.__hash__` costs an extra call

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> Direction:
        """The direction for these two facts."""
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    @property
    def sends(self) -> bool:
        """Whether the author will send."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the author wants to receive."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


class Line(NamedTuple):
    """One `kind=value` line."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}={self.value}"


@dataclass(frozen=True, slots=True)
class MediaSection:
    """An m= line and the lines under it (§5.14)."""

    kind: str
    """`audio`, `video`, …"""
    port: int
    """0: refused or removed (RFC 3264 §6, §8.2)."""
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[Line, ...] = ()

    @classmethod
    def parse(cls, value: str, lines: tuple[Line, ...] = ()) -> MediaSection:
        """Parse the value of an m= line. Raises SdpError."""
        fields = value.split()
        if len(fields) < 4:
            raise SdpError(f"media line too short: {value[:80]!r}")
        port = number(fields[1].partition("/")[0], 65535)
        if port is None:
            raise SdpError(f"no port: {fields[1][:20]!r}")
        return cls(fields[0], port, fields[2], tuple(fields[3:]), lines)

    def __str__(self) -> str:
        """The m= line only."""
        return f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"

    @property
    def bare(self) -> MediaSection:
        """The m= line without the lines below it, which may hold keys."""
        return MediaSection(self.kind, self.port, self.protocol, self.formats)

    def attribute(self, name: str) -> str | None:
        """Value of the section's first a=name:value line."""
        return next(iter(self.attributes(name)), None)

    def attributes(self, name: str) -> list[str]:
        """Values of the section's a=name:value lines, in order."""
        return _attributes(self.lines, name)

    def audio_formats(self) -> tuple[AudioFormat, ...]:
        """The formats in order of preference, as far as they are known: by rtpmap or static payload type."""
        return _audio_formats(self.formats, tuple(self.attributes("rtpmap")), tuple(self.attributes("fmtp")))

    @property
    def ptime(self) -> int | None:
        """Preferred milliseconds of audio per packet; None if unsaid."""
        value = self.attribute("ptime")
        return None if value is None else number(value.strip(), 1000)

    def has_attribute(self, name: str) -> bool:
        """Whether the section has the property attribute a=name."""
        return any(line.kind == "a" and line.value == name for line in self.lines)

    @property
    def bandwidths(self) -> set[str]:
        """Values of the section's b= lines."""
        return {line.value for line in self.lines if line.kind == "b"}

    def rtcp(self, host: str) -> tuple[str, int] | None:
        """Where a=rtcp wants reports (RFC 3605), at `host` if it names no address; None without a=rtcp."""
        port_text, _, address = (self.attribute("rtcp") or "").strip().partition(" ")
        port = number(port_text, 65535)
        if not port:
            return None
        try:
            return (_connection_address(address) if address else host), port
        except SdpError:
            return None


Layout = tuple[MediaSection | None, ...]
"""The m= lines agreed with a peer, in order. None stands for our audio; the others are refused (RFC 3264 §8).
"""


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session description."""

    lines: tuple[Line, ...]
    """Session-level lines, `v=` first."""
    media: tuple[MediaSection, ...]

    def connection(self, section: MediaSection) -> str:
        """The numeric address of a section's c= line, or else the session's (§5.7). Raises SdpError.

        Host names are refused: resolving one would make us wait for a name server of the peer's choice.
        """
        for line in (*section.lines, *self.lines):
            if line.kind == "c":
                return _connection_address(line.value)
        raise SdpError("no c= line")

    def direction(self, section: MediaSection) -> Direction:
        """The section's direction, or else the session's; the default is sendrecv (§6.7)."""
        for lines in (section.lines, self.lines):
            for line in lines:
                if line.kind == "a" and line.value in _DIRECTIONS:
                    return _DIRECTIONS[line.value]
        return Direction.SENDRECV

    def encode(self) -> bytes:
        """The SDP as bytes, with CRLF line ends."""
        text = [str(line) for line in self.lines]
        for section in self.media:
            text.append(str(section))
            text.extend(str(line) for line in section.lines)
        return ("\r\n".join(text) + "\r\n").encode("utf-8", "surrogateescape")


_DIRECTIONS = {direction.value: direction for direction in Direction}


def parse_sdp(body: bytes) -> Description:
    """Parse a session description; bare LF and CR end lines too. Raises SdpError."""
    if b"\0" in body:
        raise SdpError("NUL octet")
    text = body.decode("utf-8", "surrogateescape").strip("\r\n")
    lines = [_line(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    if str(lines[0]) != "v=0":
        raise SdpError(f"does not begin with v=0: {str(lines[0])[:20]!r}")
    starts = [n for n, line in enumerate(lines) if line.kind == "m"]
    if len(starts) > _MAX_SECTIONS:
        raise SdpError(f"{len(starts)} media lines")
    bounds = [*starts, len(lines)]
    media = tuple(
        MediaSection.parse(lines[start].value, tuple(lines[start + 1 : end]))
        for start, end in pairwise(bounds)
    )
    return Description(tuple(lines[: bounds[0]]), media)


def number(text: str, limit: int) -> int | None:
    """A decimal number from 0 to `limit`; None for anything else: signs, spaces, underscores, …"""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    value = int(text)
    return value if value <= limit else None


def _line(text: str) -> Line:
    if len(text) < 2 or text[1] != "=" or not text[0].isalpha():
        shown = text[:40].partition("inline")[0]  # never show a key
        raise SdpError(f"not a line of SDP: {shown!r}")
    return Line(text[0], text[2:].rstrip(" "))


def _attributes(lines: tuple[Line, ...], name: str) -> list[str]:
    start = name + ":"
    return [line.value[len(start) :] for line in lines if line.kind == "a" and line.value.startswith(start)]


@lru_cache(maxsize=256)  # a carrier lists the same formats in every call
def _audio_formats(
    listed: tuple[str, ...], rtpmaps: tuple[str, ...], fmtps: tuple[str, ...]
) -> tuple[AudioFormat, ...]:
    maps, parameters = _by_payload_type(rtpmaps), _by_payload_type(fmtps)
    found: dict[int, AudioFormat] = {}
    for text in listed:
        pt = number(text, 127)
        if pt is None or pt in found:
            continue
        mapped = _rtpmap(pt, maps[pt], parameters.get(pt)) if pt in maps else STATIC.get(pt)
        if mapped is not None:
            found[pt] = mapped
    return tuple(found.values())


def _by_payload_type(values: tuple[str, ...]) -> dict[int, str]:
    found: dict[int, str] = {}
    for value in values:
        text, _, rest = value.strip().partition(" ")
        pt = number(text, 127)
        if pt is not None:
            found.setdefault(pt, rest.strip())
    return found


def _rtpmap(pt: int, encoding: str, parameters: str | None) -> AudioFormat | None:
    name, *rest = encoding.split("/")
    rate = number(rest[0], 1_000_000) if rest else None
    channels = number(rest[1], 255) if len(rest) > 1 else 1
    if not name or not rate or not channels:
        return None
    return AudioFormat(name, rate, pt, channels, parameters)


@lru_cache(maxsize=256)
def _connection_address(value: str) -> str:
    fields = value.split()
    if len(fields) != 3 or fields[0] != "IN" or fields[1] not in ("IP4", "IP6"):
        raise SdpError(f"connection not understood: {value[:60]!r}")
    try:
        address = ip_address(fields[2].partition("/")[0])
    except ValueError:
        raise SdpError(f"not a numeric address: {fields[2][:60]!r}") from None
    if address.version != int(fields[1][2]) or "%" in str(address):
        raise SdpError(f"connection not understood: {value[:60]!r}")
    if address.is_multicast:
        raise SdpError(f"multicast address: {address}")
    return str(address)
