"""The RTCP session with one peer: sender and receiver reports, both ways (RFC 3550 §6.4)."""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.negotiation import Agreement
from proxy.media.rtcp import Block, Report, Sent, compound, middle, read
from proxy.media.rtp import Reception
from proxy.media.rtp_timeline import RtpTimeline
from proxy.media.udp import Address

_LONGEST_TRIP_S = 30.0
"""A round trip longer than this is a peer's miscalculation."""


class RtcpSession:
    """RTCP state for one peer, without timer or socket."""

    __slots__ = (
        "_clock",
        "_cname",
        "_expected",
        "_peer_report",
        "_peer_report_at",
        "_received",
        "_reported_packets",
        "_ssrc",
        "count",
        "heard_at",
        "peer_block",
        "round_trip_s",
        "source",
    )

    def __init__(self, cname: str, clock: Callable[[], float]) -> None:
        """`cname`: our CNAME towards this peer, constant for the call (RFC 7022 §4.2)."""
        self._cname, self._clock = cname, clock
        self.source: Address | None = None
        """Where the peer's RTCP comes from, if not from its RTP address."""
        self.count = 0
        """RTCP packets received."""
        self.heard_at = 0.0
        """When the last one came."""
        self.round_trip_s: float | None = None
        """The last measured round trip; None if no report allowed measuring it."""
        self.peer_block: Block | None = None
        """The peer's last report block about our packets."""
        self._peer_report = 0  # middle 32 bits of the NTP time in its last sender report
        self._peer_report_at = 0.0  # when that report came
        self._ssrc = -1  # the SSRC of the next two
        self._expected = self._received = 0  # at our last report
        self._reported_packets = 0

    def received(
        self, packet: bytes, source: Address, agreement: Agreement | None, target: Address | None, ours: int
    ) -> bool:
        """Take an RTCP packet of the peer; `target` is where its RTP is sent, `ours` the SSRC we send with.
        False: ignored, as it is malformed or comes from another host.
        """
        report = read(packet)
        named = None if agreement is None else agreement.rtcp_destination
        hosts = [address[0] for address in (target, named) if address is not None]
        if agreement is None or report is None or source[0] not in hosts:
            return False
        self.count += 1
        self.heard_at = self._clock()
        if source != target:
            self.source = source
        self._heard(report, ours)
        return True

    def destination(self, agreement: Agreement | None, target: Address | None) -> Address | None:
        """Where to send RTCP. If RTP is only latched, the port next to it is a guess: nothing is sent there
        until RTCP has come from the peer.
        """
        if agreement is None or not agreement.reports:
            return None
        if agreement.mux:
            return target
        return self.source or (agreement.rtcp_destination if target == agreement.remote else None)

    def report(self, timeline: RtpTimeline, reception: Reception | None, *, leaves: bool = False) -> bytes:
        """Our next compound packet; a sender report if we have sent RTP since the last one (§6.4)."""
        now = self._clock()
        sends = timeline.packets != self._reported_packets
        self._reported_packets = timeline.packets
        sent = Sent(now, timeline.timestamp_at(now), timeline.packets, timeline.octets) if sends else None
        blocks = () if reception is None or reception.ssrc == -1 else (self._block(reception, now),)
        return compound(timeline.ssrc, sent, blocks, self._cname, leaves=leaves)

    def _heard(self, report: Report, ours: int) -> None:
        if report.sent is not None:
            self._peer_report, self._peer_report_at = report.sent, self.heard_at
        for block in report.blocks:
            if block.ssrc == ours:
                self.peer_block = block
                self._time(block)

    def _block(self, reception: Reception, now: float) -> Block:
        if reception.ssrc != self._ssrc:
            self._ssrc, self._expected, self._received = reception.ssrc, 0, 0
        due, came = reception.expected, reception.received
        expected = due - self._expected
        lost = expected - (came - self._received)
        self._expected, self._received = due, came
        return Block(
            ssrc=reception.ssrc,
            fraction_lost=lost / expected if lost > 0 and expected > 0 else 0.0,
            lost=due - came,
            highest=reception.highest,
            jitter=int(reception.jitter),
            last_report=self._peer_report,
            delay_s=now - self._peer_report_at if self._peer_report else 0.0,
        )

    def _time(self, block: Block) -> None:
        """Compute the round trip: time since our report, less the peer's delay (§6.4.1)."""
        if block.last_report:
            trip_s = ((middle(self.heard_at) - block.last_report) & 0xFFFFFFFF) / 65536 - block.delay_s
            if -0.001 <= trip_s < _LONGEST_TRIP_S:
                self.round_trip_s = max(trip_s, 0.0)
