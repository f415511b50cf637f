"""RTCP with one peer: what we tell it of its packets and ours, and what it tells us (RFC 3550 §6.4)."""

from __future__ import annotations

from collections.abc import Callable

from proxy.media.negotiation import Agreement
from proxy.media.rtcp import Block, Report, Sent, compound, middle, read
from proxy.media.rtp import Reception
from proxy.media.rtp_timeline import OutLine
from proxy.media.udp import Address

_LONGEST_TRIP_S = 30.0
"""A round trip beyond this is a peer's wrong arithmetic."""


class Control:
    """What is known of one peer between two reports. Makes no timer and no socket."""

    __slots__ = (
        "_clock",
        "_cname",
        "_expected",
        "_heard_sent",
        "_received",
        "_sent_at",
        "_sent_packets",
        "_ssrc",
        "count",
        "heard_at",
        "round_trip_s",
        "source",
        "told",
    )

    def __init__(self, cname: str, clock: Callable[[], float]) -> None:
        """`cname`: our name towards this peer for the whole call (RFC 7022 §4.2)."""
        self._cname, self._clock = cname, clock
        self.source: Address | None = None
        """Where its reports come from, if not from where its RTP does."""
        self.count = 0
        """Packets that it has sent."""
        self.heard_at = 0.0
        """When the last one came."""
        self.round_trip_s: float | None = None
        """Measured last; None while no report allowed it."""
        self.told: Block | None = None
        """What the peer said last of our packets."""
        self._heard_sent = 0  # middle of the NTP time of its last sender report
        self._sent_at = 0.0  # when that came
        self._ssrc = -1  # of whom the next two are
        self._expected = self._received = 0  # at our report before
        self._sent_packets = 0

    def received(
        self, packet: bytes, source: Address, agreement: Agreement | None, target: Address | None, ours: int
    ) -> bool:
        """Take a packet of the peer, whose RTP is sent to `target`; False for one that is not to be believed:
        it does not add up, or comes from another machine. `ours` is the SSRC that the peer hears.
        """
        report = read(packet)
        named = None if agreement is None else agreement.control
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
        """Where the peer takes reports. The port next to one that we have only latched to is a guess, and is
        sent nothing before it was heard.
        """
        if agreement is None or not agreement.reports:
            return None
        if agreement.mux:
            return target
        return self.source or (agreement.control if target == agreement.remote else None)

    def report(self, line: OutLine, reception: Reception | None, *, leaves: bool = False) -> bytes:
        """Our next compound packet: a sender report if we have sent since the last one (§6.4)."""
        now = self._clock()
        sends = line.packets != self._sent_packets
        self._sent_packets = line.packets
        sent = Sent(now, line.timestamp_at(now), line.packets, line.octets) if sends else None
        blocks = () if reception is None or reception.ssrc == -1 else (self._block(reception, now),)
        return compound(line.ssrc, sent, blocks, self._cname, leaves=leaves)

    def _heard(self, report: Report, ours: int) -> None:
        if report.sent is not None:
            self._heard_sent, self._sent_at = report.sent, self.heard_at
        for block in report.blocks:
            if block.ssrc == ours:
                self.told = block
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
            last_report=self._heard_sent,
            delay_s=now - self._sent_at if self._heard_sent else 0.0,
        )

    def _time(self, block: Block) -> None:
        """§6.4.1: the round trip is the time since our report, less what the peer sat on it."""
        if block.last_report:
            trip_s = ((middle(self.heard_at) - block.last_report) & 0xFFFFFFFF) / 65536 - block.delay_s
            if -0.001 <= trip_s < _LONGEST_TRIP_S:
                self.round_trip_s = max(trip_s, 0.0)
