"""`relay` mode: every leg's RTP comes to a port of ours and leaves from there (media-relay of RFC 7092)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
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


class _Leg:
    """One leg's stream and what we last told its peer about it."""

    def __init__(self, stream: Stream, origin_id: int) -> None:
        self.stream = stream
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
    ) -> None:
        """`public_address` stands in our SDP; `ids(n)` gives n random bits; `clock` is the loop's time."""
        self._network = network
        self._ports = ports
        self._host = bind_host
        self._address = public_address
        self._ip_version = ip_address(public_address).version
        self._ids = ids
        self._clock = clock
        self._legs: dict[str, _Leg] = {}
        self._last_counts: dict[str, Counts] = {}

    def offer(self, leg: str) -> bytes:
        """Our offer, first or again; see `MediaSession`."""
        ours = self._open(leg)
        formats = formats_to_offer(ours.listed, self._anchor(leg))
        return ours.describe(self._address, formats, Direction.SENDRECV, ours.layout, anew=True)

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
        agreement = read_answer(sdp, ours.listed, ours.layout, ip_version=self._ip_version, anchor=anchor)
        ours.stream.agreed(agreement)

    def accept(self, leg: str, sdp: bytes) -> bytes:
        """The peer's offer, first or again; see `MediaSession`."""
        known = self._legs.get(leg)
        spoken = None if known is None else known.spoken
        answer = read_offer(sdp, ip_version=self._ip_version, spoken=spoken, anchor=self._anchor(leg))
        ours = self._open(leg)
        ours.stream.agreed(answer.agreement)
        return ours.describe(
            self._address, answer.formats, answer.direction, answer.agreement.layout, anew=False
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
        stream = self._stream(leg)
        return None if stream is None else (self._address, stream.port)

    def close(self) -> None:
        """Release every leg."""
        for leg in tuple(self._legs):
            self.release(leg)

    def _stream(self, leg: str) -> Stream | None:
        ours = self._legs.get(leg)
        return None if ours is None else ours.stream

    def _open(self, leg: str) -> _Leg:
        ours = self._legs.get(leg)
        if ours is None:
            line = OutLine(ssrc=self._ids(32), sequence=self._ids(16), timestamp=self._ids(32))
            stream = Stream(self._network, self._ports, self._host, line, self._clock)
            ours = self._legs[leg] = _Leg(stream, origin_id=self._ids(31))
        return ours

    def _anchor(self, leg: str) -> str | None:
        """The voice of the leg this one will be joined with: the first other that has agreed on one."""
        for name, other in self._legs.items():
            if name != leg and other.spoken is not None:
                return other.spoken
        return None
