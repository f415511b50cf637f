"""The sending half of a stream: relayed packets, tones and keys as one continuous RTP stream."""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.dtmf import DtmfState, KeyQueue
from proxy.media.formats import EVENT_KEY
from proxy.media.g711 import audible
from proxy.media.negotiation import Agreement
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.recorder import Recordings
from proxy.media.route import Route, route_for
from proxy.media.rtp import HEADER, HEADER_BYTES, PLAIN
from proxy.media.rtp_timeline import RtpTimeline
from proxy.media.stream_srtp import StreamSrtp
from proxy.media.udp import Address, PortPair

QUIET_S = 0.6
"""How long a joined leg must be silent before ringback is heard."""
_pack = HEADER.pack


class Sender:
    """Sends one peer what it hears: the joined leg's packets, clips and key presses. `Stream` is the rest.

    State that only packets need is made for the first of them: many calls never have any.
    """

    __slots__ = (
        "_clock",
        "_destination",
        "_dtmf",
        "_ids",
        "_last_relayed_at",
        "_pair",
        "_route",
        "_route_key",
        "_rtcp_timer",
        "_srtp",
        "_timeline",
        "agreement",
        "recordings",
        "reserved",
        "ringing",
    )

    # Set in `Stream.__init__`: every call makes two of these, and a second constructor call costs time.
    _pair: PortPair
    _ids: Callable[[int], int]
    _clock: Callable[[], float]
    _rtcp_timer: PeriodicTimer
    agreement: Agreement | None
    recordings: Recordings | None
    """Recordings of what our peer sends and hears; None before the first."""
    reserved: bool
    """A clip plays, and relayed audio is dropped; see `reserve`."""
    ringing: bool
    """While ringback is on, silent packets are not relayed: the tone is more useful."""
    _last_relayed_at: float | None
    _destination: Address | None  # where to send, if the peer wants to hear us
    _timeline: RtpTimeline | None
    _route_key: str | None  # the format relayed last, and its route
    _route: Route | None
    _dtmf: DtmfState | None
    _srtp: StreamSrtp | None  # SRTP; None: plain RTP

    def report(self) -> None:
        """Send an RTCP report (RFC 3550 §6.4); called by `PeriodicTimer`."""
        raise NotImplementedError

    @property
    def last_sent_at(self) -> float | None:
        """When the peer was last sent audio; None if it never was."""
        return None if self._timeline is None else self._timeline.at

    @property
    def last_relayed_at(self) -> float | None:
        """When audio of the joined stream was last relayed; during ringback, when it was last audible."""
        return self._last_relayed_at

    def reserve(self, on: bool) -> None:
        """A clip starts or stops playing."""
        self.reserved = on

    def ring(self, on: bool) -> None:
        """Ringback starts or stops."""
        self.ringing = on

    def send_frame(self, frame: bytes, key: str, source: object, sequence: int, timestamp: int) -> None:
        """Send one 20 ms frame of our own, in a format the peer accepts."""
        route = self._route_of(key)
        if route is None or self._destination is None or self._sending_key:
            return
        place = self._ensure_timeline().place(source, sequence, timestamp, self._clock(), route.rate)
        if place is not None:
            self._emit(PLAIN, route.pt, 0, place, frame)

    @property
    def pressed_keys(self) -> KeyQueue:
        """The keys the peer has pressed."""
        return self._ensure_dtmf().pressed

    def key_signalled(self, key: str) -> bool:
        """The peer reported a key by signalling. False: it was already received in RTP."""
        return self._ensure_dtmf().signalled(key)

    def send_key(self, key: str, seconds: float) -> None:
        """Send a key press to the peer as telephone-events; ignored if it takes none, or holds us."""
        route = self._route_of(EVENT_KEY)
        if self._destination is not None and route is not None:
            self._ensure_dtmf().press(key, seconds, route.rate)

    def _relay(
        self,
        packet: memoryview,
        start: int,
        end: int,
        key: str,
        marked: int,
        source: object,
        sequence: int,
        timestamp: int,
        now: float,
    ) -> None:
        """Send our peer a packet of the joined stream, modified in place: a few header fields, and the G.711
        law.
        """
        to = self._destination
        if to is None or self.reserved or (self._dtmf is not None and self._dtmf.sending):
            return
        route = self._route if key == self._route_key else self._route_of(key)
        timeline = self._timeline or self._ensure_timeline()
        if route is None or (self.ringing and not self._recently_audible(key, bytes(packet[start:end]), now)):
            timeline.skip(source, sequence)
            return
        pt, table, rate, event = route
        if not timeline.stamp(packet, marked, pt, source, sequence, timestamp, now, rate, event):
            return
        if table is not None:
            packet[start:end] = bytes(packet[start:end]).translate(table)
        if self._srtp is None and self.recordings is None:
            self._pair.send(packet, to)
            timeline.packets += 1
            timeline.octets += end - start
        else:
            self._send(packet, timeline)
        if not self.ringing:
            self._last_relayed_at = now

    def _recently_audible(self, key: str, payload: bytes, now: float) -> bool:
        """Whether the joined leg is audible, or was a moment ago."""
        if audible(key, payload):
            self._last_relayed_at = now
        return self._last_relayed_at is not None and now - self._last_relayed_at < QUIET_S

    def _emit(self, first: int, pt: int, marker: int, place: tuple[int, int, bool], body: bytes) -> None:
        timeline = self._timeline
        if timeline is not None:
            sequence, timestamp, forced = place
            header = _pack(first, pt | (0x80 if forced else marker), sequence, timestamp, timeline.ssrc)
            self._send(header + body, timeline)

    def _send(self, packet: bytes | memoryview, timeline: RtpTimeline) -> None:
        to = self._destination
        if to is None:
            return
        if self.recordings is not None and self.agreement is not None:
            voice, (_, second, _, timestamp, _) = self.agreement.voice, HEADER.unpack_from(packet)
            if second & 0x7F == voice.pt:
                self.recordings.sent(voice.key, bytes(packet), timestamp, timeline, self._clock())
        octets = len(packet) - HEADER_BYTES
        if self._srtp is not None:
            protected = self._srtp.protect(packet)
            if protected is None:  # its sequence number is used: never two packets under the same keystream
                return
            packet = protected
        self._pair.send(packet, to)
        timeline.packets += 1
        timeline.octets += octets

    def _route_of(self, key: str) -> Route | None:
        """The route of a format to the peer; None if it cannot be sent."""
        if key != self._route_key:
            self._route = None if self.agreement is None else route_for(key, self.agreement)
            self._route_key = key
        return self._route

    def _ensure_timeline(self) -> RtpTimeline:
        """The stream our peer hears, started on first use."""
        timeline = self._timeline
        if timeline is None:
            ids = self._ids  # RFC 3711 §3.3.1: below 2^15, lest loss of the first packets hide a roll-over
            timeline = self._timeline = RtpTimeline(ssrc=ids(32), sequence=ids(15), timestamp=ids(32))
            self._rtcp_timer.join(self)
        return timeline

    def _ensure_dtmf(self) -> DtmfState:
        keys = self._dtmf
        if keys is None:
            keys = self._dtmf = DtmfState(self._send_event, self._clock)
        return keys

    @property
    def _sending_key(self) -> bool:
        """A key press is being sent, so no speech is."""
        return self._dtmf is not None and self._dtmf.sending

    def _send_event(
        self, payload: bytes, source: object, sequence: int, timestamp: int, begins: bool
    ) -> None:
        route = self._route_of(EVENT_KEY)
        if route is not None and self._destination is not None:
            timeline, now = self._ensure_timeline(), self._clock()
            place = timeline.place(source, sequence, timestamp, now, route.rate, event=True)
            if place is not None:
                self._emit(PLAIN, route.pt, 0x80 if begins else 0, place, payload)
