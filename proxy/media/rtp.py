"""RTP packets: headers, validation, and reception statistics (RFC 3550 §5.1, §6.4.1, Appendix A)."""

from __future__ import annotations

from struct import Struct

HEADER = Struct("!BBHII")
"""V/P/X/CC, M/PT, sequence number, timestamp, SSRC."""
HEADER_BYTES = 12
PLAIN = 0x80
"""First octet of version 2 without padding, extension and CSRCs: that of nearly all packets."""

MAX_DROPOUT = 3000
MAX_MISORDER = 100


def signed16(difference: int) -> int:
    """A difference of sequence numbers as a signed step (RFC 3550 A.1)."""
    return ((difference + 0x8000) & 0xFFFF) - 0x8000


def signed32(difference: int) -> int:
    """A difference of timestamps as a signed step."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def payload_span(packet: bytes | memoryview) -> tuple[int, int] | None:
    """Start and end of the payload; None if this is no valid RTP packet (RFC 3550 §5.1, A.1)."""
    size = len(packet)
    if size < HEADER_BYTES or packet[0] >> 6 != 2:
        return None
    first = packet[0]
    if first == PLAIN:
        return HEADER_BYTES, size
    start, end = HEADER_BYTES + 4 * (first & 0x0F), size
    if first & 0x10:
        if start + 4 > size:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    if first & 0x20:
        if packet[-1] == 0:
            return None
        end -= packet[-1]
    return (start, end) if start <= end else None


def is_rtcp(packet: bytes | memoryview) -> bool:
    """Whether a packet on the RTP port is RTCP, by its second octet (RFC 5761 §4)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223


class Reception:
    """Reception statistics of one peer, over all its SSRCs (RFC 3550 A.3, A.8).

    The next packet in order, as nearly all are, costs a few additions; others take a slower path.
    """

    __slots__ = (
        "_base",
        "_before",
        "_gone",
        "_highest",
        "_lost_before",
        "_missing",
        "_paused_at",
        "_timestamp",
        "_unused",
        "at",
        "duplicates",
        "jitter",
        "longest_gap_s",
        "rate",
        "reordered",
        "ssrc",
    )

    def __init__(self, rate: int = 8000) -> None:
        self.rate = rate
        """Clock rate of the voice format, in Hz."""
        self.ssrc = -1
        """The latest SSRC; -1 before any."""
        self.at: float | None = None
        """When the last packet came since `resumed`; None if none did."""
        self._paused_at: float | None = None
        self.jitter = 0.0
        """Interarrival jitter, in ticks of `rate` (A.8)."""
        self.longest_gap_s = 0.0
        """Longest time between two packets."""
        self.duplicates = 0
        self.reordered = 0
        """Packets that came after a later one."""
        self._base = 0
        self._highest = -1  # not wrapped
        self._gone = 0  # missing under this SSRC
        self._before = 0  # received under earlier SSRCs
        self._lost_before = 0
        self._unused = 0
        self._missing: set[int] = set()
        self._timestamp = -1  # of the previous packet; -1: not to be compared with

    def heard(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a speech packet of the present SSRC."""
        if (sequence - self._highest) & 0xFFFF == 1:
            self._highest += 1
        elif not self._placed(sequence):
            return
        at = self.at
        if at is not None:
            gap_s = now - at
            if gap_s > self.longest_gap_s:
                self.longest_gap_s = gap_s
            off = gap_s * self.rate - ((timestamp - self._timestamp) & 0xFFFFFFFF)
            if off < 0:
                off = -off
            if off < self.rate and self._timestamp >= 0:  # more is a reset clock, not the network
                self.jitter += (off - self.jitter) * 0.0625
        self._timestamp = timestamp
        self.at = now

    def counted(self, sequence: int, now: float) -> None:
        """Count a packet whose timestamp says nothing of when it was sent: an event, or unusable format."""
        if self._placed(sequence):
            if self.at is not None:
                self.longest_gap_s = max(self.longest_gap_s, now - self.at)
            self.at, self._timestamp = now, -1

    def begin(self, ssrc: int, sequence: int) -> None:
        """Start counting a new SSRC, or the same one afresh, at this number; that packet is counted next."""
        self._lost_before = self.lost
        self._before += self.received
        self.ssrc = ssrc
        self._base = sequence
        self._highest = sequence - 1
        self._gone = 0
        self._missing.clear()
        self._timestamp = -1

    def resumed(self) -> None:
        """Start a new period: the pause until the next packet is no gap."""
        self._paused_at, self.at, self._timestamp = self.last_at, None, -1

    def left_out(self, sequence: int) -> None:
        """Count a packet that came but could not be used: neither lost nor speech."""
        twice = self.duplicates
        self._placed(sequence)
        self._unused += self.duplicates == twice
        self.duplicates = twice

    @property
    def last_at(self) -> float | None:
        """When the last packet came; None before any."""
        return self.at if self.at is not None else self._paused_at

    @property
    def total(self) -> int:
        """Speech packets received, duplicates included."""
        return self._before + self.received + self.duplicates - self._unused

    @property
    def expected(self) -> int:
        """Packets sent under the present SSRC, by its sequence numbers (A.3)."""
        return self._highest - self._base + 1

    @property
    def received(self) -> int:
        """How many of those expected came, without duplicates."""
        return self.expected - self._gone

    @property
    def highest(self) -> int:
        """Extended highest sequence number received (RFC 3550 §6.4.1)."""
        return self._highest & 0xFFFFFFFF

    def add_forwarded(
        self, packets: int, timestamp: int, at: float, jitter: float, longest_gap_s: float
    ) -> None:
        """Account for consecutive packets of the present SSRC that the kernel received and measured."""
        self._highest += packets
        self._timestamp = timestamp
        self.at, self.jitter, self.longest_gap_s = at, jitter, longest_gap_s

    @property
    def last_timestamp(self) -> int | None:
        """The previous packet's timestamp; None if it does not say when the next packet is due."""
        return None if self._timestamp < 0 else self._timestamp

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self._lost_before + self._gone

    def follows(self, sequence: int) -> bool:
        """Whether this sequence number may continue the present stream (A.1)."""
        return -MAX_MISORDER <= signed16(sequence - self._highest) <= MAX_DROPOUT

    def _placed(self, sequence: int) -> bool:
        """Count a sequence number; False if it is late or a duplicate."""
        step = signed16(sequence - self._highest)
        if step <= 0:
            if step >= -MAX_MISORDER:
                return self._late(self._highest + step)
            self.begin(self.ssrc, sequence)
        elif step > MAX_DROPOUT:
            self.begin(self.ssrc, sequence)
        elif step > 1:
            self._gone += step - 1
            between = range(self._highest + max(1, step - MAX_MISORDER), self._highest + step)
            self._missing = {each for each in self._missing if each > self._highest - MAX_MISORDER}
            self._missing.update(between)
            self._timestamp = -1 if step > MAX_MISORDER else self._timestamp
        self._highest += signed16(sequence - self._highest)
        return True

    def _late(self, number: int) -> bool:
        if number in self._missing:
            self._missing.remove(number)
            self._gone -= 1
            self.reordered += 1
        elif number < self._base:  # older than the first that came
            self._gone += self._base - number - 1
            self._base = number
            self.reordered += 1
        else:
            self.duplicates += 1
        return False
