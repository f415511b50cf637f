"""RTP headers: packing, checking, and counting what was lost (RFC 3550 §5.1, §6.4.1, Appendix A)."""

from __future__ import annotations

from struct import Struct

HEADER = Struct("!BBHII")
"""V/P/X/CC, M/PT, sequence number, timestamp, SSRC."""
HEADER_BYTES = 12
PLAIN = 0x80
"""First octet of a packet of version 2 without padding, extension or CSRCs: nearly all of them."""

MAX_DROPOUT = 3000
MAX_MISORDER = 100


def signed16(difference: int) -> int:
    """A difference of sequence numbers as a step, forward or back (RFC 3550 A.1)."""
    return ((difference + 0x8000) & 0xFFFF) - 0x8000


def signed32(difference: int) -> int:
    """A difference of timestamps as a step, forward or back."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def payload_span(packet: bytes) -> tuple[int, int] | None:
    """Where the payload begins and ends, or None if this is no valid RTP packet (RFC 3550 §5.1, A.1)."""
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


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet on the RTP port is RTCP by its second octet (RFC 5761 §4)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223


class Reception:
    """Counts one peer's packets and losses over all its SSRCs (RFC 3550 A.3)."""

    __slots__ = ("_base", "_highest", "_lost_before", "_received", "ssrc")

    def __init__(self) -> None:
        self.ssrc = -1
        """SSRC heard last; -1 while none was."""
        self._base = 0
        self._highest = 0
        self._received = 0
        self._lost_before = 0

    def heard(self, ssrc: int, sequence: int) -> None:
        """Count one packet. A new SSRC, or a jump no loss explains, starts a new count (A.1)."""
        if ssrc == self.ssrc:
            step = signed16(sequence - self._highest)
            if -MAX_MISORDER <= step <= MAX_DROPOUT:
                self._received += 1
                if step > 0:
                    self._highest += step
                return
        self._lost_before = self.lost
        self.ssrc = ssrc
        self._base = self._highest = sequence
        self._received = 1

    @property
    def lost(self) -> int:
        """Packets that never came; duplicates count as found, as RFC 3550 says."""
        if self.ssrc == -1:
            return 0
        return self._lost_before + max(0, self._highest - self._base + 1 - self._received)
