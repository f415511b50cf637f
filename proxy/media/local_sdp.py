"""Write our SDP for one audio line, as an offer or an answer (RFC 3264)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from proxy.media.formats import EVENTS, TELEPHONE_EVENT, AudioFormat
from proxy.media.sdp import Direction, Layout, MediaSection
from proxy.media.srtp_negotiation import NO_PROTECTION, Protection
from proxy.media.udp import Address

_DEFAULT_PTIME_MS = 20
"""Milliseconds of audio per packet, unless somebody asks otherwise."""


PacketTimes = tuple[int | None, int | None]
"""(ptime, maxptime): milliseconds of audio per packet that a peer wants, and at most takes; None if unsaid.
"""
NO_PACKET_TIMES: PacketTimes = (None, None)


class Terms(NamedTuple):
    """What our audio section says besides formats and direction."""

    ptime: int = _DEFAULT_PTIME_MS
    """Milliseconds of audio per packet that we ask for."""
    maxptime: int | None = None
    mux: bool = False
    """RTCP may be multiplexed on the RTP port (RFC 5761 §5.1.1)."""

    @classmethod
    def between(cls, own: int | None, packet_times: PacketTimes, *, mux: bool) -> Terms:
        """Packets are relayed as they are, so we ask a peer for what the other leg wants, if it said; else
        for the peer's `own` preference.
        """
        ptime, maxptime = packet_times
        if ptime is None:
            ptime = own
        if maxptime is None and (ptime is None or ptime == _DEFAULT_PTIME_MS):
            return _WITH_MUX if mux else _DEFAULT_TERMS
        return cls(_DEFAULT_PTIME_MS if ptime is None else ptime, maxptime, mux)


_DEFAULT_TERMS, _WITH_MUX = Terms(), Terms(mux=True)


@dataclass(frozen=True, slots=True)
class LocalSdp:
    """The content of an SDP of ours, apart from origin and address; see `compose`."""

    formats: tuple[AudioFormat, ...]
    """With the payload types we assigned."""
    direction: Direction
    layout: Layout
    protection: Protection
    terms: Terms
    template: bytes
    """The whole SDP as a template, which `encode` fills in."""

    def encode(self, origin: tuple[int, int], address: Address) -> bytes:
        """The SDP; `origin` is (id, version), `address` where we want to receive. Nothing in it is taken from
        another leg, except the packet length.
        """
        network = _network(address[0])
        return self.template % (*origin, network, network, address[1])

    def with_protection(self, protection: Protection) -> LocalSdp:
        """The same with another SRTP protection."""
        return compose(self.formats, self.direction, self.layout, protection, self.terms)


def compose(
    formats: tuple[AudioFormat, ...],
    direction: Direction,
    layout: Layout = (None,),
    protection: Protection = NO_PROTECTION,
    terms: Terms = _DEFAULT_TERMS,
) -> LocalSdp:
    """The content for these parts, cached since calls of one carrier are sent the same; never with keys in
    it.
    """
    make = _compose if protection.cryptos else _compose_cached
    return make(formats, direction, layout, protection, terms)


def _compose(
    formats: tuple[AudioFormat, ...],
    direction: Direction,
    layout: Layout,
    protection: Protection,
    terms: Terms,
) -> LocalSdp:
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
    template = "v=0\r\no=- %d %d %s\r\ns=-\r\nc=%s\r\nt=0 0\r\n" + "".join(media)
    encoded = template.encode("utf-8", "surrogateescape")
    return LocalSdp(formats, direction, layout, protection, terms, encoded)


_compose_cached = lru_cache(maxsize=256)(_compose)


def describe(
    origin: tuple[int, int],
    address: Address,
    formats: Iterable[AudioFormat],
    direction: Direction,
    layout: Layout = (None,),
    protection: Protection = NO_PROTECTION,
) -> bytes:
    """A whole SDP; see `LocalSdp.encode`."""
    return compose(tuple(formats), direction, layout, protection).encode(origin, address)


@lru_cache(maxsize=64)  # there are only a few local addresses
def _network(host: str) -> bytes:
    return f"IN IP{6 if ':' in host else 4} {host}".encode()


def _refused(section: MediaSection) -> str:
    line = f"{MediaSection(section.kind, 0, section.protocol, section.formats)}\r\n"
    return line.replace("%", "%%")
