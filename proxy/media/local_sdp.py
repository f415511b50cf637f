"""What our SDP says of one audio line, as an offer or an answer (RFC 3264): the agreement in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from proxy.media.formats import EVENTS, TELEPHONE_EVENT, AudioFormat
from proxy.media.sdp import Direction, Layout, MediaSection
from proxy.media.srtp_negotiation import NO_PROTECTION, Protection
from proxy.media.udp import Address

_USUAL_MS = 20
"""Of audio in a packet, where nobody says otherwise."""


Wish = tuple[int | None, int | None]
"""Milliseconds of audio that somebody would like in a packet, and can take at most; None where unsaid."""
NO_WISH: Wish = (None, None)


class Terms(NamedTuple):
    """What our audio section says beside formats and direction."""

    ptime: int = _USUAL_MS
    """Milliseconds of audio that we would like in a packet."""
    maxptime: int | None = None
    mux: bool = False
    """RTCP may come to the port of RTP (RFC 5761 §5.1.1)."""

    @classmethod
    def between(cls, own: int | None, wish: Wish, *, mux: bool) -> Terms:
        """Packets pass as they are: so a peer is asked for what the other leg would like, if it said, or else
        for its `own` liking.
        """
        ptime, maxptime = wish
        if ptime is None:
            ptime = own
        if maxptime is None and (ptime is None or ptime == _USUAL_MS):
            return _WITH_MUX if mux else _USUAL_TERMS
        return cls(_USUAL_MS if ptime is None else ptime, maxptime, mux)


_USUAL_TERMS, _WITH_MUX = Terms(), Terms(mux=True)


@dataclass(frozen=True, slots=True)
class Said:
    """What an SDP of ours says, whoever it is said to; see `say`."""

    formats: tuple[AudioFormat, ...]
    """Under our numbers."""
    direction: Direction
    layout: Layout
    protection: Protection
    terms: Terms
    pattern: bytes
    """All of it, but for what `written` puts in."""

    def written(self, origin: tuple[int, int], address: Address) -> bytes:
        """Our SDP: origin is (id, version), address where we want to be sent packets. Nothing in it comes
        from another leg, but for how long its packets are.
        """
        network = _network(address[0])
        return self.pattern % (*origin, network, network, address[1])

    def under(self, protection: Protection) -> Said:
        """The same, but for how the audio is protected."""
        return say(self.formats, self.direction, self.layout, protection, self.terms)


def say(
    formats: tuple[AudioFormat, ...],
    direction: Direction,
    layout: Layout = (None,),
    protection: Protection = NO_PROTECTION,
    terms: Terms = _USUAL_TERMS,
) -> Said:
    """Made once, as calls of one carrier are told the same; keys are kept nowhere."""
    make = _say if protection.cryptos else _say_as_ever
    return make(formats, direction, layout, protection, terms)


def _say(
    formats: tuple[AudioFormat, ...],
    direction: Direction,
    layout: Layout,
    protection: Protection,
    terms: Terms,
) -> Said:
    lines = [" ".join([protection.protocol, *(str(each.pt) for each in formats)])]
    for each in formats:
        lines.append(f"a=rtpmap:{each.pt} {each.encoding}")
        if each.key in EVENTS:
            lines.append(f"a=fmtp:{each.pt} {TELEPHONE_EVENT.fmtp}")
    lines.append(f"a=ptime:{terms.ptime}")
    if terms.maxptime is not None:
        lines.append(f"a=maxptime:{terms.maxptime}")
    if terms.mux:
        lines.append("a=rtcp-mux")
    lines += [f"a={direction.value}", *(each.line for each in protection.cryptos)]
    audio = "\r\n".join(lines).replace("%", "%%")
    media = [f"m=audio %d {audio}\r\n" if each is None else _refused(each) for each in layout]
    pattern = "v=0\r\no=- %d %d %s\r\ns=-\r\nc=%s\r\nt=0 0\r\n" + "".join(media)
    encoded = pattern.encode("utf-8", "surrogateescape")
    return Said(formats, direction, layout, protection, terms, encoded)


_say_as_ever = lru_cache(maxsize=256)(_say)


def describe(
    origin: tuple[int, int],
    address: Address,
    formats: Iterable[AudioFormat],
    direction: Direction,
    layout: Layout = (None,),
    protection: Protection = NO_PROTECTION,
) -> bytes:
    """An SDP that says this; see `Said.written`."""
    return say(tuple(formats), direction, layout, protection).written(origin, address)


@lru_cache(maxsize=64)  # the house has few
def _network(host: str) -> bytes:
    return f"IN IP{6 if ':' in host else 4} {host}".encode()


def _refused(section: MediaSection) -> str:
    line = f"{MediaSection(section.kind, 0, section.protocol, section.formats)}\r\n"
    return line.replace("%", "%%")
