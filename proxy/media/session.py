"""`relay` mode: every leg's RTP comes to a port of ours and leaves from there (media-relay of RFC 7092)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proxy.media.formats import AudioFormat
from proxy.media.mode import Counts, MediaRefused, Recording
from proxy.media.negotiation import Layout, describe, formats_to_offer, read_answer, read_offer
from proxy.media.outline import OutLine
from proxy.media.player import Player
from proxy.media.ports import PortPool
from proxy.media.recorder import WavRecording
from proxy.media.sdp import Direction
from proxy.media.stream import Stream
from proxy.media.udp import Address, MediaNetwork

Home = tuple[str, str]
"""A local address to bind to, and the public one that leads there."""


def _version(address: str) -> int:
    return 6 if ":" in address else 4


class _Leg:
    """One leg's stream and what we last told its peer about it."""

    def __init__(self, stream: Stream, address: str, origin_id: int) -> None:
        self.stream = stream
        self.address = address
        """Where the peer is told to send: ours, public."""
        self.ip_version = _version(address)
        self.player = Player(stream)
        self.origin_id = origin_id
        self.version = 0
        self.listed: tuple[AudioFormat, ...] = ()
        """Formats of our last SDP, under our numbers."""
        self.layout: Layout = (None,)
        self.said: tuple[tuple[AudioFormat, ...], Direction, Layout] | None = None
        self.sdp: bytes | None = None
        """The last one, as sent."""

    @property
    def spoken(self) -> str | None:
        """Key of the agreed voice; None before there is one."""
        agreement = self.stream.agreement
        return None if agreement is None else agreement.voice.key

    def describe(
        self, host: str, formats: tuple[AudioFormat, ...], direction: Direction, layout: Layout, *, anew: bool
    ) -> bytes:
        """Our SDP; the version grows by one if it says something new, or `anew` (RFC 3264 §8)."""
        saying = (formats, direction, layout)
        if anew or saying != self.said:
            self.version += 1
        self.said, self.listed, self.layout = saying, formats, layout
        origin, address = (self.origin_id, self.version), (host, self.stream.port)
        self.sdp = describe(origin, address, formats, direction, layout)
        return self.sdp


class RelaySession:
    """A `MediaSession` that relays. It starts no task; timers run only while a tone plays."""

    def __init__(
        self,
        network: MediaNetwork,
        ports: PortPool,
        bind_host: str,
        public_address: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        other_home: Home | None = None,
    ) -> None:
        """`public_address` stands in our SDP; `ids(n)` gives n random bits; `clock` is the loop's time.

        `other_home`: local and public address of the other IP version, if we have one.
        """
        self._network = network
        self._ports = ports
        homes = [(bind_host, public_address), *([other_home] if other_home else [])]
        self._homes = {_version(public): (bind, public) for bind, public in homes}
        self._usual = _version(public_address)
        self._offers: dict[str, int] = {}
        """IP version of our offers to a leg, where it is not the usual one."""
        self._ids = ids
        self._clock = clock
        self._legs: dict[str, _Leg] = {}
        self._last_counts: dict[str, Counts] = {}

    def over(self, leg: str, ip_version: int) -> None:
        """Offers to that leg name an address of this IP version; see `MediaSession`."""
        if ip_version in self._homes:
            self._offers[leg] = ip_version

    def offer(self, leg: str) -> bytes:
        """Our offer, first or again; see `MediaSession`."""
        ours = self._open(leg, self._offers.get(leg, self._usual))
        formats = formats_to_offer(ours.listed, self._anchor(leg))
        return ours.describe(ours.address, formats, Direction.SENDRECV, ours.layout, anew=True)

    def again(self, leg: str) -> bytes:
        """Our last SDP once more; see `MediaSession`."""
        ours = self._legs.get(leg)
        return self.offer(leg) if ours is None or ours.sdp is None else ours.sdp

    def answered(self, leg: str, sdp: bytes) -> None:
        """The peer's answer to our offer; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is None:
            raise MediaRefused("an answer without an offer")
        anchor = self._anchor(leg)
        agreement = read_answer(sdp, ours.listed, ours.layout, ip_version=ours.ip_version, anchor=anchor)
        ours.stream.agreed(agreement)

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """The peer's offer, first or again; see `MediaSession`."""
        known = self._legs.get(leg)
        spoken = None if known is None else known.spoken
        fixed = known.ip_version if spoken is not None and known is not None else None
        possible = fixed or (None if len(self._homes) > 1 else self._usual)
        answer = read_offer(sdp, ip_version=possible, spoken=spoken, anchor=self._anchor(leg))
        ours = self._open(leg, answer.agreement.ip_version)
        ours.stream.agreed(answer.agreement)
        return ours.describe(
            ours.address, answer.formats, answer.direction, answer.agreement.layout, anew=False
        )

    def join(self, a: str, b: str) -> None:
        """a and b hear each other, and nobody else. If one is gone already, the other hears nobody."""
        one, other = self._stream(a), self._stream(b)
        if one is not None and other is not None and one.joined is other:
            return
        self.part(a)
        self.part(b)
        if one is not None and other is not None:
            one.hear(other)
            other.hear(one)

    def part(self, leg: str) -> None:
        """The leg and whoever it was joined to hear nobody."""
        stream = self._stream(leg)
        if stream is not None and stream.joined is not None:
            stream.joined.hear(None)
            stream.hear(None)

    def ringback(self, leg: str, on: bool) -> None:
        """Ringback tone while nothing else is heard."""
        ours = self._legs.get(leg)
        if ours is not None:
            ours.player.ring(on)

    async def beep(self, leg: str) -> None:
        """Play the beep; returns when it has been played, or the leg is gone."""
        ours = self._legs.get(leg)
        if ours is not None:
            await ours.player.beep()

    def record(self, leg: str, path: Path) -> Recording:
        """Record what the leg says; of a leg that is gone, silence of no length. Raises OSError if the file
        cannot be made.
        """
        stream = self._stream(leg)
        if stream is None:
            return WavRecording(path, on_close=lambda recording: None)
        recording = WavRecording(path, on_close=stream.recordings.remove)
        stream.recordings.append(recording)
        return recording

    def release(self, leg: str) -> None:
        """The leg is gone: nobody hears it, its ports go back."""
        self.part(leg)
        ours = self._legs.pop(leg, None)
        if ours is not None:
            ours.player.stop()
            ours.stream.close()
            self._last_counts[leg] = ours.stream.counts()

    def counts(self, leg: str) -> Counts:
        """The leg's counters; zeros if it never was."""
        stream = self._stream(leg)
        return self._last_counts.get(leg, Counts()) if stream is None else stream.counts()

    def address(self, leg: str) -> Address | None:
        """Our public RTP address towards a leg; None while it has no port."""
        ours = self._legs.get(leg)
        return None if ours is None else (ours.address, ours.stream.port)

    def close(self) -> None:
        """Release every leg."""
        for leg in tuple(self._legs):
            self.release(leg)

    def _stream(self, leg: str) -> Stream | None:
        ours = self._legs.get(leg)
        return None if ours is None else ours.stream

    def _open(self, leg: str, ip_version: int) -> _Leg:
        """The leg's stream; one of the other IP version gives way to a new one, unless it is in use."""
        ours = self._legs.get(leg)
        if ours is not None and ours.ip_version != ip_version and ours.spoken is None:
            self.release(leg)
            ours = None
        if ours is None:
            line = OutLine(ssrc=self._ids(32), sequence=self._ids(16), timestamp=self._ids(32))
            bind, public = self._homes[ip_version]
            stream = Stream(self._network, self._ports, bind, line, self._clock)
            ours = self._legs[leg] = _Leg(stream, public, origin_id=self._ids(31))
        return ours

    def _anchor(self, leg: str) -> str | None:
        """The voice of the leg this one will be joined with: the first other that has agreed on one."""
        for name, other in self._legs.items():
            if name != leg and other.spoken is not None:
                return other.spoken
        return None
