"""One peer's RTP: a pair of ports, the source it is latched to, and what its packets and ours carry.

The hot path is short: a packet in, a look at its header, a packet out. Offer and answer settle all they can.
SRTP belongs to a stream, not a mode: `_received` and `_rtcp_received` decrypt, `_emit` and `_send_rtcp`
encrypt. RTCP is read and generated, never forwarded: we rewrite the peers' SSRCs, so their reports would name
streams that the other side never saw.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proxy.media.disk_writer import Disk, at_once
from proxy.media.dtmf import convert_duration
from proxy.media.formats import EVENT_KEY, G711, clock_rate
from proxy.media.interface import Counts
from proxy.media.latch import MOVING_S, may_take
from proxy.media.negotiation import Agreement
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.port_pair import bind_next
from proxy.media.ports import PortPool
from proxy.media.quality import NO_AUDIO, Quality, quality_of
from proxy.media.recorder import Recordings, WavRecording
from proxy.media.rtcp_session import RtcpSession
from proxy.media.rtp import HEADER, HEADER_BYTES, PLAIN, Reception, is_rtcp, payload_span
from proxy.media.sender import QUIET_S as QUIET_S
from proxy.media.sender import Sender
from proxy.media.stream_srtp import StreamSrtp
from proxy.media.udp import Address, MediaNetwork

_unpack = HEADER.unpack_from


class Stream(Sender):
    """RTP with one peer. Hostile packets are dropped and counted; no packet can raise an exception.

    State that only packets need is made when the first one arrives: many calls never have any.
    """

    __slots__ = (
        "_agreed_at",
        "_alive_at",
        "_closed",
        "_dropped",
        "_holder",
        "_latched",
        "_ports",
        "_previous_holder",
        "_receive",
        "_reception",
        "_rtcp",
        "_source",
        "_target",
        "joined",
        "port",
    )

    def __init__(
        self,
        network: MediaNetwork,
        ports: PortPool,
        host: str,
        ids: Callable[[int], int],
        clock: Callable[[], float],
        rtcp_timer: PeriodicTimer,
    ) -> None:
        """Bind a free port pair. `ids(n)` gives n random bits; `rtcp_timer` times RTCP. Raises NoPortFree."""
        self.port, pair = bind_next(network, ports, host, self._received, self._rtcp_received)
        """Our RTP port; RTCP uses the next."""
        self._ports, self._pair = ports, pair
        self._ids, self._clock, self._rtcp_timer = ids, clock, rtcp_timer
        self._closed = self.reserved = self.ringing = False
        self.joined: Stream | None = None
        """The stream connected to this one: it hears us and we hear it."""
        self.agreement = self.recordings = None
        self._destination = self._timeline = self._route_key = self._route = None
        self._dtmf = self._srtp = self._last_relayed_at = None
        self._holder: Address | None = None  # the source taken for the peer
        self._previous_holder: Address | None = None  # the one before the SDP named another address
        self._latched: Address | None = None  # the holder, while its direction allows it to send
        self._target: Address | None = None  # where we send
        self._source: object = None  # stands for the peer under its present SSRC; compared by identity
        self._receive: dict[int, str] = {}  # of the agreement
        self._reception: Reception | None = None
        self._rtcp: RtcpSession | None = None
        self._dropped = 0
        self._agreed_at = 0.0  # time of the last completed offer/answer
        self._alive_at = 0.0  # when the last packet came that is no speech

    def agreed(self, agreement: Agreement) -> None:
        """Apply a completed offer/answer exchange. If the SDP names another address, the latch opens for the
        first valid packet; if it names the same one, the latch stays.
        """
        if self._reception is not None or self.joined is not None:
            self.recall()
        before, self.agreement = self.agreement, agreement
        self._receive = agreement.receive
        if agreement.crypto is not None or self._srtp is not None:
            self._srtp = self._srtp or StreamSrtp()
            self._srtp.agreed(agreement, before)
        if before is None or before.remote != agreement.remote:
            self._target = agreement.remote
            self._previous_holder = (self._holder or self._previous_holder) if agreement.remote else None
            self._holder = None
            if self._rtcp is not None:
                self._rtcp.source = None
        self._destination = self._target if agreement.hears else None
        self._latched = self._holder if agreement.speaks else None
        self._route_key = None
        self._agreed_at = self._clock()
        if self._reception is not None:
            self._reception.rate = clock_rate(agreement.voice.key)
            self._reception.resumed()
        if self._timeline is not None:
            self._timeline.switch_source()

    def hear(self, other: Stream | None) -> None:
        """Connect to this stream, or to none."""
        if self._reception is not None or self.joined is not None:
            self.recall()
        self.joined = other
        self._last_relayed_at = None
        if self._dtmf is not None:
            self._dtmf.rejoined()
        if self._timeline is not None:
            self._timeline.switch_source()

    def recall(self) -> None:
        """Stop relaying in the kernel, where `KernelStream` does; nothing to do here."""

    def counts(self) -> Counts:
        """The counters so far."""
        reception = self._reception
        return Counts(
            packets_in=0 if reception is None else reception.total,
            packets_out=0 if self._timeline is None else self._timeline.packets,
            lost=0 if reception is None else reception.lost,
            dropped=self._dropped,
            rtcp_in=0 if self._rtcp is None else self._rtcp.count,
            unauthentic=0 if self._srtp is None else self._srtp.unauthentic,
        )

    @property
    def has_traffic(self) -> bool:
        """At least one packet was received or sent."""
        return bool(self._timeline or self._reception or self._rtcp or self._dropped)

    def quality(self) -> Quality:
        """Audio quality so far, both ways."""
        if self._timeline is None and self._reception is None and not self._dropped:
            return NO_AUDIO
        voice = None if self.agreement is None else self.agreement.voice.key
        g711, rate = voice in G711, 8000 if voice is None else clock_rate(voice)
        return quality_of(self.counts(), self._reception, self._rtcp, g711=g711, rate=rate)

    def quiet_s(self) -> float | None:
        """Seconds since the peer was last heard; None if nothing is due from it."""
        agreement = self.agreement
        if agreement is None or not (agreement.speaks and agreement.hears) or self._closed:
            return None
        heard = 0.0 if self._reception is None else self._reception.last_at or 0.0
        reported = 0.0 if self._rtcp is None else self._rtcp.heard_at
        return self._clock() - max(self._agreed_at, self._alive_at, heard, reported)

    def record(self, path: Path, *, both: bool = False, disk: Disk = at_once) -> WavRecording:
        """Record what the peer sends, and with `both` what it is sent. Raises OSError."""
        if self.recordings is None:
            self.recordings = Recordings()
        return self.recordings.begin(path, both, disk)

    def close(self) -> None:
        """Send an RTCP BYE, close recordings and sockets, return the ports; again does nothing."""
        if self._closed:
            return
        if self._reception is not None or self.joined is not None:
            self.recall()
        if self._timeline is not None and self._timeline.packets:
            self._send_rtcp(leaves=True)
        self._closed, self._destination = True, None
        if self._timeline is not None or self._reception is not None:
            self._rtcp_timer.leave(self)
        if self.recordings is not None:
            self.recordings.close()
        if self._dtmf is not None:
            self._dtmf.stop()
        self._pair.close()
        self._ports.give_back(self.port)

    def _received(self, borrowed: memoryview, source: Address) -> None:
        packet = borrowed
        if self._srtp is not None:
            clear = self._srtp.unprotect(borrowed)
            if clear is None:
                self._dropped += 1
                return
            packet = clear
        start, end = HEADER_BYTES, len(packet)
        if end < HEADER_BYTES:
            return self._refuse(packet, source)
        first, second, sequence, timestamp, ssrc = _unpack(packet)
        if source != self._latched or first != PLAIN:
            span = self._admitted(packet, source)
            if span is None:
                return
            start, end = span
        reception = self._reception
        assert reception is not None
        key = self._receive.get(second & 0x7F)
        if key is None:
            return self._refuse(packet, source)
        if ssrc != reception.ssrc:
            self._source = object()
            reception.begin(ssrc, sequence)
        now = self._clock()
        if key == EVENT_KEY:
            reception.counted(sequence, now)
            if not self._pressed(packet[start:end], timestamp):
                return self._skip(sequence)
        if self.recordings is not None:
            self.recordings.heard(key, bytes(packet[start:end]), timestamp, self._source, now)
        joined = self.joined
        if joined is not None:
            joined._relay(packet, start, end, key, second & 0x80, self._source, sequence, timestamp, now)
        if key != EVENT_KEY:  # counted after forwarding, which need not wait for it
            reception.heard(sequence, timestamp, now)

    def _pressed(self, payload: memoryview, timestamp: int) -> bool:
        """Handle a telephone-event packet, converting its duration to the other peer's clock rate in place.
        False: do not forward it.
        """
        assert self.agreement is not None
        rate = self.agreement.event_rate
        if not self._ensure_dtmf().heard(self._source, timestamp, bytes(payload), rate):
            return False
        heard = None if self.joined is None else self.joined.agreement
        if heard is not None and heard.event_rate != rate:
            payload[:] = convert_duration(bytes(payload), rate, heard.event_rate)
        return True

    def _admitted(self, packet: memoryview, source: Address) -> tuple[int, int] | None:
        """Payload span of a packet off the fast path; None if it is not to be relayed."""
        agreement, span = self.agreement, payload_span(packet)
        if is_rtcp(packet):
            self._take_rtcp(bytes(packet), source)
        elif agreement is None or span is None or packet[1] & 0x7F not in agreement.receive:
            self._refuse(packet, source)
        elif not agreement.speaks or (source != self._latched and not self._latch(packet, source)):
            self._dropped += 1
        else:
            return span
        return None

    def _latch(self, packet: memoryview, source: Address) -> bool:
        """Latch onto the source if it may be the peer; see `latch`."""
        assert self.agreement is not None
        reception = self._reception
        if reception is None:
            reception = self._reception = Reception(clock_rate(self.agreement.voice.key))
            self._rtcp_timer.join(self)
        _, _, sequence, _, ssrc = HEADER.unpack_from(packet)
        now = self._clock()
        if self._holder is None and source == self._previous_holder and now - self._agreed_at < MOVING_S:
            return True  # a packet already in flight when the peer moved
        same = ssrc == reception.ssrc and reception.follows(sequence)
        same = same or (self._srtp is not None and self._srtp.receiver is not None)
        silent_s = now - max(self._agreed_at, reception.last_at or 0.0)
        named = self.agreement.remote
        if not may_take(source, holder=self._holder, named=named, silent_s=silent_s, same_line=same):
            return False
        if source != self._target and self._rtcp is not None:
            self._rtcp.source = None
        self._holder = self._latched = self._target = source
        self._destination = source if self.agreement.hears else None
        return True

    def _refuse(self, packet: memoryview, source: Address) -> None:
        """Drop an unusable packet; if our peer sent it, the other side must not see it as loss."""
        if is_rtcp(packet):
            return self._take_rtcp(bytes(packet), source)
        self._dropped += 1
        reception = self._reception
        if reception is None or source != self._latched or len(packet) < HEADER_BYTES:
            return
        first, _, sequence, _, ssrc = HEADER.unpack_from(packet)
        if first >> 6 == 2 and ssrc == reception.ssrc:  # ZRTP has the SSRC there, too, and its own numbers
            self._alive_at = self._clock()
            reception.left_out(sequence)
            self._skip(sequence)

    def _skip(self, sequence: int) -> None:
        """A packet from our peer is not forwarded: close the gap in our sequence numbers."""
        if self.joined is not None:
            self.joined._ensure_timeline().skip(self._source, sequence)

    def report(self) -> None:
        """Send an RTCP report (RFC 3550 §6.4); called by `PeriodicTimer`."""
        self._send_rtcp(leaves=False)

    def _rtcp_received(self, borrowed: memoryview, source: Address) -> None:
        packet = bytes(borrowed)
        clear = packet if self._srtp is None else self._srtp.unprotect_rtcp(packet)
        if clear is None:
            self._dropped += 1
        else:
            self._take_rtcp(clear, source)

    def _take_rtcp(self, packet: bytes, source: Address) -> None:
        ours = -1 if self._timeline is None else self._timeline.ssrc
        if not self._ensure_rtcp().received(packet, source, self.agreement, self._target, ours):
            self._dropped += 1

    def _send_rtcp(self, *, leaves: bool) -> None:
        rtcp = self._ensure_rtcp()
        to = rtcp.destination(self.agreement, self._target)
        if to is None or self._closed or self.agreement is None:
            return
        packet = rtcp.report(self._ensure_timeline(), self._reception, leaves=leaves)
        protected = packet if self._srtp is None else self._srtp.protect_rtcp(packet)
        if protected is not None:
            (self._pair.send if self.agreement.mux else self._pair.send_rtcp)(protected, to)

    def _ensure_rtcp(self) -> RtcpSession:
        rtcp = self._rtcp
        if rtcp is None:
            rtcp = self._rtcp = RtcpSession(f"{self._ids(64):016x}", self._clock)
        return rtcp
