"""The audio line of a peer's SDP, as passed on to another peer: end-to-end, under an origin of ours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from proxy.media.interface import MediaRefused
from proxy.media.sdp import Description, Direction, Layout, Line, MediaSection, SdpError, parse_sdp
from proxy.media.sdp_cache import normalise

PROTOCOLS = ("RTP/AVP", "RTP/SAVP", "RTP/AVPF", "RTP/SAVPF")
_PASSED_ON = frozenset(
    {"rtpmap", "fmtp", "ptime", "maxptime", "crypto", "rtcp", "rtcp-mux", "rtcp-rsize", "rtcp-fb"}
)
"""Attributes passed on, as they say how to send audio; all others stay on their leg."""


@dataclass(frozen=True, slots=True)
class AudioLine:
    """Where a peer wants its audio, and in which formats."""

    address: str
    section: MediaSection = field(repr=False)
    """With only the lines that are passed on; keys are among them."""
    direction: Direction
    """As its author sees it."""

    @property
    def ip_version(self) -> int:
        """IP version of the address."""
        return 6 if ":" in self.address else 4

    @property
    def protected(self) -> bool:
        """Whether it uses SRTP."""
        return "SAVP" in self.section.protocol

    @property
    def suites(self) -> list[str]:
        """Names of its crypto-suites, if it uses SRTP."""
        lines = self.section.attributes("crypto") if self.protected else []
        return [fields[1] for line in lines if len(fields := line.split()) > 1]

    def with_direction(self, direction: Direction) -> AudioLine:
        """The same with another direction."""
        return self if direction is self.direction else replace(self, direction=direction)

    def same_but_direction(self, other: AudioLine) -> bool:
        """Whether address, formats and keys are the same."""
        return (self.address, self.section) == (other.address, other.section)

    @classmethod
    def read(cls, body: bytes) -> tuple[AudioLine, Layout]:
        """Parse the first usable audio line, and the m= lines around it. Raises MediaRefused."""
        normalised = normalise(body)
        if normalised is None:
            return _read(body)
        line, layout = _read_cached(normalised[0])
        return line._with_port(normalised[1]), layout

    def _with_port(self, port: int) -> AudioLine:
        old = self.section
        section = MediaSection(old.kind, port, old.protocol, old.formats, old.lines)
        return AudioLine(self.address, section, self.direction)

    def write(self, origin: tuple[int, int], host: str, layout: Layout) -> bytes:
        """Our SDP with this line; `origin` is its id and version, `host` our address (§5.2)."""
        text = [
            "v=0",
            f"o=- {origin[0]} {origin[1]} {_network(host)}",
            "s=-",
            f"c={_network(self.address)}",
            "t=0 0",
        ]
        for each in layout:
            if each is None:
                text += [str(self.section), *map(str, self.section.lines), f"a={self.direction.value}"]
            else:
                text.append(_refused(each))
        return ("\r\n".join(text) + "\r\n").encode("utf-8", "surrogateescape")


def answer_direction(one: Direction, other: Direction) -> Direction:
    """The direction that answers `one`, from a peer that by itself wants `other` (RFC 3264 §6.1)."""
    return Direction.of(sends=one.receives and other.sends, receives=one.sends and other.receives)


def own_direction(answer: Direction, offered: Direction) -> Direction:
    """The direction that the author of an answer would choose by itself, had the offer left it free."""
    return Direction.of(
        sends=answer.sends or not offered.receives, receives=answer.receives or not offered.sends
    )


def refuse_all(offer: bytes, host: str = "0.0.0.0") -> bytes:
    """The answer that refuses every line of an offer (RFC 3264 §6); empty if that is not valid SDP."""
    try:
        media = parse_sdp(offer).media
    except SdpError:
        return b""
    text = ["v=0", f"o=- 0 0 {_network(host)}", "s=-", f"c={_network(host)}", "t=0 0"]
    return ("\r\n".join([*text, *map(_refused, media)]) + "\r\n").encode("utf-8", "surrogateescape")


def _read(body: bytes) -> tuple[AudioLine, Layout]:
    try:
        description = parse_sdp(body)
        section = _usable(description)
        address = description.connection(section)
    except SdpError as error:
        raise MediaRefused(f"SDP not understood: {error}") from error
    passed_on = replace(section, lines=_passed_on(section.lines))
    line = AudioLine(address, passed_on, description.direction(section))
    return line, tuple(None if each is section else each for each in description.media)


_read_cached = lru_cache(maxsize=256)(_read)
"""Cached by normalised text; see `normalise`."""


def _usable(description: Description) -> MediaSection:
    reason = "no audio line"
    for section in description.media:
        if section.kind != "audio":
            continue
        if section.port == 0:
            reason = "audio refused (port 0)"
        elif section.protocol not in PROTOCOLS:
            reason = f"{section.protocol[:20]} is not supported, only {', '.join(PROTOCOLS)}"
        else:
            return section
    raise MediaRefused(reason)


def _passed_on(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(
        line
        for line in lines
        if line.kind == "b" or (line.kind == "a" and line.value.partition(":")[0] in _PASSED_ON)
    )


def _refused(section: MediaSection) -> str:
    return str(MediaSection(section.kind, 0, section.protocol, section.formats))


def _network(host: str) -> str:
    return f"IN IP{6 if ':' in host else 4} {host}"
