"""One peer's RTP: a pair of ports, the source it is latched to, and the line it hears from us.

SRTP belongs to a stream, not a mode: `_received` and `_control` open, `_emit` protects.
RTCP is received and counted, not forwarded: the peers' SSRCs are rewritten, so its reports would name streams
the other side never saw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from proxy.media.dtmf import EventReader, Keypad, Presses
from proxy.media.formats import EVENT_KEY, carries, clock_rate
from proxy.media.g711 import TRANSLATIONS, audible
from proxy.media.mode import Counts
from proxy.media.negotiation import Agreement
from proxy.media.outline import OutLine
from proxy.media.ports import NoPortFree, PortPool
from proxy.media.recorder import WavRecording
from proxy.media.rtp import HEADER, HEADER_BYTES, PLAIN, Reception, is_rtcp, payload_span
from proxy.media.srtp import Receiver, Sender, receiver, sender
from proxy.media.udp import Address, Endpoint, MediaNetwork, OnPacket

QUIET_S = 0.6
"""How long a joined leg must be silent before the ringback tone is heard."""
_BIND_TRIES = 64


class Route(NamedTuple):
    """How a format heard elsewhere goes out on a stream."""

    pt: int
    table: bytes | None
    """Translation of the payload; None: untouched."""
    rate: int
    event: bool


class Heard(NamedTuple):
    """One packet that a peer said."""

    packet: bytes
    span: tuple[int, int]
    """Where its payload begins and ends."""
    key: str
    """Its format."""
    source: object
    sequence: int
    timestamp: int
    at: float


class Stream:
    """RTP with one peer. Hostile packets are dropped and counted; nothing raises out of a packet.

    What only packets need is made by the first of them: many calls never have one, or are over before it.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_dropped",
        "_events",
        "_heard_at",
        "_ids",
        "_in",
        "_keypad",
        "_latched",
        "_line",
        "_out",
        "_ports",
        "_presses",
        "_receiver",
        "_reception",
        "_rtcp",
        "_rtcp_in",
        "_rtp",
        "_sender",
        "_source",
        "_target",
        "_unauthentic",
        "agreement",
        "fed_at",
        "joined",
        "port",
        "recordings",
        "reserved",
        "ringing",
    )

    def __init__(
        self,
        network: MediaNetwork,
        ports: PortPool,
        host: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
    ) -> None:
        """Take a pair of ports. `ids(n)` gives n random bits. Raises NoPortFree."""
        self._clock = clock
        self._ids = ids
        self._line: OutLine | None = None
        self._ports = ports
        self.port, self._rtp, self._rtcp = _bind_pair(network, ports, host, self._received, self._control)
        self._closed = False
        self.agreement: Agreement | None = None
        self.joined: Stream | None = None
        """Who hears us and whom we hear."""
        self.recordings: tuple[WavRecording, ...] = ()
        self.reserved = False
        """While a clip plays, nobody else is heard."""
        self.ringing = False
        """While ringback is on, packets of mere silence are not passed on: the tone is better company."""
        self.fed_at: float | None = None
        """When the joined stream was last heard here; while ringing, when it was last audible."""
        self._latched: Address | None = None
        self._target: Address | None = None
        self._source: object = None  # who speaks: our peer under its present SSRC; compared by identity
        self._reception: Reception | None = None
        self._presses: Presses | None = None
        self._events: EventReader | None = None
        self._keypad: Keypad | None = None
        self._sender: Sender | None = None  # of SRTP; None: what is sent is plain
        self._receiver: Receiver | None = None
        self._unauthentic = 0  # under the keys before the present one
        self._in = self._out = self._dropped = self._rtcp_in = 0
        self._heard_at: float | None = None

    def agreed(self, agreement: Agreement) -> None:
        """Offer and answer are done, or done again: the next valid packet decides where the peer is."""
        before, self.agreement = self.agreement, agreement
        if agreement.crypto is not None or self._receiver is not None:
            self._key(agreement, before)
        if before is None or before.remote != agreement.remote:
            self._target = agreement.remote
        self._latched = None
        self._cut()

    def _key(self, agreement: Agreement, before: Agreement | None) -> None:
        """Protect as agreed. Under a key that stays, replays and roll-overs go on being counted (RFC 3711
        §3.3.1); under a new one they are counted anew.
        """
        theirs, ours = agreement.crypto, agreement.ours
        if before is None or theirs is None or not theirs.same_key(before.crypto):
            self._unauthentic += 0 if self._receiver is None else self._receiver.unauthentic
            self._receiver = None if theirs is None else receiver(theirs, self._receiver)
        if before is None or ours is None or not ours.same_key(before.ours):
            self._sender = None if ours is None else sender(ours)

    @property
    def said_at(self) -> float | None:
        """When the peer was last sent something; None if it never was."""
        return None if self._line is None else self._line.at

    def hear(self, other: Stream | None) -> None:
        """From now on hear this stream, or nobody."""
        self.joined = other
        self.fed_at = None
        self._cut()

    def say(self, frame: bytes, key: str, source: object, sequence: int, timestamp: int) -> None:
        """Send 20 ms of our own sound, in a format that the peer takes as it is."""
        route = self._route(key)
        if route is None or self._destination() is None or self._dials:
            return
        place = self._speaking().place(source, sequence, timestamp, self._clock(), rate=route.rate)
        if place is not None:
            self._emit(PLAIN, route.pt, 0, place, frame)

    @property
    def presses(self) -> Presses:
        """The keys that the peer has pressed."""
        if self._presses is None:
            self._presses = Presses()
        return self._presses

    def press(self, key: str, seconds: float) -> None:
        """Press a key towards the peer, as telephone-events; nothing, if it takes none or holds us."""
        agreement = self.agreement
        if self._closed or agreement is None or EVENT_KEY not in agreement.send or not agreement.hears:
            return
        if self._keypad is None:
            self._keypad = Keypad(self._say_event)
        self._keypad.press(key, seconds)

    def counts(self) -> Counts:
        """The counters so far."""
        return Counts(
            packets_in=self._in,
            packets_out=self._out,
            lost=0 if self._reception is None else self._reception.lost,
            dropped=self._dropped,
            unauthentic=self._unauthentic + (self._receiver.unauthentic if self._receiver else 0),
            rtcp_in=self._rtcp_in,
            last_heard=self._heard_at,
        )

    def record(self, path: Path) -> WavRecording:
        """Record what the peer says. Raises OSError if the file cannot be made."""
        recording = WavRecording(path, on_close=self._recorded)
        self.recordings += (recording,)
        return recording

    def close(self) -> None:
        """Close recordings and sockets, give the ports back; again does nothing."""
        if self._closed:
            return
        self._closed = True
        for recording in self.recordings:
            recording.close()
        for timed in (self._events, self._keypad):
            if timed is not None:
                timed.stop()
        self._rtp.close()
        self._rtcp.close()
        self._ports.give_back(self.port)

    def _received(self, packet: bytes, source: Address) -> None:
        if self._receiver is not None:
            clear = self._receiver.unprotect(packet)
            if clear is None:
                self._dropped += 1
                return
            packet = clear
        agreement = self.agreement
        if agreement is None or len(packet) < HEADER_BYTES or packet[0] >> 6 != 2:
            self._dropped += 1
            return
        key = agreement.receive.get(packet[1] & 0x7F)
        span = (HEADER_BYTES, len(packet)) if packet[0] == PLAIN else payload_span(packet)
        if key is None or span is None:
            self._refuse(packet, source)
            return
        if not agreement.speaks or (source != self._latched and not self._latch(source)):
            self._dropped += 1
            return
        _, _, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        reception = self._reception
        if reception is None:
            reception = self._reception = Reception()
        if ssrc != reception.ssrc:
            self._source = object()
        reception.heard(ssrc, sequence)
        now = self._clock()
        self._in += 1
        self._heard_at = now
        if key == EVENT_KEY:
            self._event_heard(timestamp, packet[span[0] : span[1]])
        for recording in self.recordings:
            recording.heard(key, packet[span[0] : span[1]], timestamp, self._source, now)
        if self.joined is not None:
            self.joined._relay(Heard(packet, span, key, self._source, sequence, timestamp, now))

    def _latch(self, source: Address) -> bool:
        """Lock to the first source heard. The address its SDP names, heard later, takes the lock from a
        stranger who was faster; nobody else does.
        """
        agreement = self.agreement
        if self._latched is not None and (agreement is None or source != agreement.remote):
            return False
        self._latched = self._target = source
        return True

    def _refuse(self, packet: bytes, source: Address) -> None:
        """Drop an unusable packet; one our peer sent must not look like loss further on."""
        if is_rtcp(packet):
            self._rtcp_in += 1
            return
        self._dropped += 1
        _, _, sequence, _, ssrc = HEADER.unpack_from(packet)
        reception = self._reception
        if reception is not None and source == self._latched and ssrc == reception.ssrc:
            reception.heard(ssrc, sequence)
            if self.joined is not None:
                self.joined._speaking().skip(self._source, sequence)

    def _relay(self, heard: Heard) -> None:
        """Send our peer what the joined one said; only header fields change, and the law of G.711."""
        if self.reserved or self._destination() is None or self._dials:
            return
        packet, (start, end), key, source, sequence, timestamp, now = heard
        route, line = self._route(key), self._speaking()
        if route is None or (self.ringing and not self._worth_hearing(heard)):
            line.skip(source, sequence)
            return
        place = line.place(source, sequence, timestamp, now, rate=route.rate, event=route.event)
        if place is None:
            return
        if not self.ringing:
            self.fed_at = now
        if route.table is None:
            body = packet[HEADER_BYTES:]
        else:
            body = packet[HEADER_BYTES:start] + packet[start:end].translate(route.table) + packet[end:]
        self._emit(packet[0], route.pt, packet[1] & 0x80, place, body)

    def _worth_hearing(self, heard: Heard) -> bool:
        """Somebody speaks, or has just paused."""
        start, end = heard.span
        if audible(heard.key, heard.packet[start:end]):
            self.fed_at = heard.at
        return self.fed_at is not None and heard.at - self.fed_at < QUIET_S

    def _emit(self, first: int, pt: int, marker: int, place: tuple[int, int, bool], body: bytes) -> None:
        to = self._destination()
        if to is None or self._closed:
            return
        sequence, timestamp, forced = place
        packet = self._speaking().header(first, pt | (0x80 if forced else marker), sequence, timestamp) + body
        if self._sender is not None:
            sealed = self._sender.protect(packet)
            if sealed is None:  # its sequence number was sent before: never two packets under one key stream
                return
            packet = sealed
        self._rtp.send(packet, to)
        self._out += 1

    def _event_heard(self, timestamp: int, payload: bytes) -> None:
        if self._events is None:
            self._events = EventReader(self._pressed, self._clock)
        self._events.heard(self._source, timestamp, payload)

    def _pressed(self, key: str, seconds: float) -> None:
        self.presses.put(key)

    @property
    def _dials(self) -> bool:
        """A key of ours is down: no speech meanwhile."""
        return self._keypad is not None and self._keypad.busy

    def _say_event(self, payload: bytes, source: object, sequence: int, timestamp: int, begins: bool) -> None:
        route = self._route(EVENT_KEY)
        if route is not None and self._destination() is not None:
            line, now = self._speaking(), self._clock()
            place = line.place(source, sequence, timestamp, now, rate=route.rate, event=True)
            if place is not None:
                self._emit(PLAIN, route.pt, 0x80 if begins else 0, place, payload)

    def _destination(self) -> Address | None:
        """Where the peer is, if it wants to hear us (RFC 3264 §8.4)."""
        agreement = self.agreement
        return self._target if agreement is not None and agreement.hears else None

    def _route(self, key: str) -> Route | None:
        agreement = self.agreement
        if agreement is None:
            return None
        return _route(key, agreement.voice.key, agreement.voice.pt, agreement.send.get(key))

    def _speaking(self) -> OutLine:
        """The line our peer hears."""
        line = self._line
        if line is None:
            ids = self._ids  # RFC 3711 §3.3.1: below 2^15, lest a first packet lost hide a roll-over
            line = self._line = OutLine(ssrc=ids(32), sequence=ids(15), timestamp=ids(32))
        return line

    def _cut(self) -> None:
        if self._line is not None:
            self._line.cut()

    def _recorded(self, closed: WavRecording) -> None:
        self.recordings = tuple(each for each in self.recordings if each is not closed)

    def _control(self, packet: bytes, source: Address) -> None:
        if self._receiver is not None and self._receiver.unprotect_rtcp(packet) is None:
            self._dropped += 1
            return
        self._rtcp_in += 1


@lru_cache(maxsize=256)
def _route(key: str, voice: str, voice_pt: int, pt: int | None) -> Route | None:
    """How a format goes out to a peer that takes this voice, and the format itself under `pt`, if at all."""
    if key != EVENT_KEY and carries(key, voice):
        return Route(voice_pt, TRANSLATIONS.get((key, voice)), clock_rate(key), False)
    return None if pt is None else Route(pt, None, clock_rate(key), key == EVENT_KEY)


def _bind_pair(
    network: MediaNetwork, ports: PortPool, host: str, on_rtp: OnPacket, on_rtcp: OnPacket
) -> tuple[int, Endpoint, Endpoint]:
    """Bind the next pair that another program has not taken. Raises NoPortFree."""
    for _ in range(min(_BIND_TRIES, ports.free)):
        port = ports.take()
        try:
            rtp = network.bind(host, port, on_rtp)
        except OSError:
            ports.give_back(port)
            continue
        try:
            return port, rtp, network.bind(host, port + 1, on_rtcp)
        except OSError:
            rtp.close()
            ports.give_back(port)
    raise NoPortFree(f"no media port free: {ports.lent} pairs in use, {ports.free} taken by other programs")
