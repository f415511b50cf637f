"""The one RTP stream that a peer receives all call long, whatever its sources (RFC 3550 §5.1, §8.1)."""

from __future__ import annotations

from struct import Struct

from proxy.media.rtp import HEADER, MAX_DROPOUT, MAX_MISORDER, signed16, signed32

_pack_into = Struct("!BHII").pack_into
"""All of a header but its first octet, which stays."""
_BELIEVABLE_S = 10.0
"""How far a source's timestamp may run ahead of the wall clock before it counts as a restart."""


class RtpTimeline:
    """Constant SSRC, continuous sequence numbers and monotonic timestamps across every change of source.

    Within one source, the steps of its sequence numbers and timestamps are kept, so that loss stays loss and
    reordering stays reordering. At a change of source, the sequence number advances by one, the timestamp by
    the wall-clock time passed, and the marker bit is set.
    """

    __slots__ = (
        "_at",
        "_floor",
        "_in_sequence",
        "_in_timestamp",
        "_rate",
        "_sequence",
        "_source",
        "_timestamp",
        "octets",
        "packets",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self._sequence = sequence  # highest sent; not wrapped, nor is _timestamp
        self._timestamp = timestamp
        self._floor = sequence + 1  # first of the present source: nothing of it below this may be sent
        self._at: float | None = None  # when _timestamp was sent
        self._source: object = None
        self._in_sequence = 0
        self._in_timestamp = 0
        self._rate = 8000
        self.packets = 0
        """Packets sent, and payload octets in them, for sender reports."""
        self.octets = 0

    @property
    def at(self) -> float | None:
        """When the last packet that advanced the timestamp was sent; None if none was."""
        return self._at

    def switch_source(self) -> None:
        """Treat the next packet as from a new source, even if the source is the same."""
        self._source = None

    def place(
        self, source: object, sequence: int, timestamp: int, now: float, rate: int, event: bool = False
    ) -> tuple[int, int, bool] | None:
        """Map one packet of a source to our sequence number, our timestamp, and whether to force the marker.

        `source` is compared by identity. `event`: a telephone-event, whose timestamp is its start and may lie
        before speech already sent (RFC 4733 §2.2). None: drop it; it is too late, from before a change of
        source.
        """
        if source is not self._source:
            return self._switch(source, sequence, timestamp, now, rate)
        step = signed16(sequence - self._in_sequence)
        ticks = signed32(timestamp - self._in_timestamp)
        if step <= 0 and step >= -MAX_MISORDER:
            return self._late(step, ticks)
        if not 0 < step <= MAX_DROPOUT or (ticks < 0 and not event) or self._jumped(ticks, now, rate):
            return self._switch(source, sequence, timestamp, now, rate)
        self._in_sequence = sequence
        self._sequence += step
        if ticks <= 0:
            return self._sequence & 0xFFFF, (self._timestamp + ticks) & 0xFFFFFFFF, False
        self._in_timestamp = timestamp
        self._timestamp += ticks
        self._at = now
        return self._sequence & 0xFFFF, self._timestamp & 0xFFFFFFFF, False

    def stamp(
        self,
        packet: memoryview,
        marked: int,
        pt: int,
        source: object,
        sequence: int,
        timestamp: int,
        now: float,
        rate: int,
        event: bool,
    ) -> bool:
        """Rewrite the header of a source's packet in place; see `place`. `marked`: its marker bit, 0 or 0x80.
        False: it must not be sent.
        """
        ticks = timestamp - self._in_timestamp
        if source is self._source and (sequence - self._in_sequence) & 0xFFFF == 1 and 0 < ticks <= rate:
            self._in_sequence, self._in_timestamp, self._at = sequence, timestamp, now
            self._sequence = ours = self._sequence + 1  # fast path: the next packet in order
            self._timestamp = then = self._timestamp + ticks
            _pack_into(packet, 1, marked | pt, ours & 0xFFFF, then & 0xFFFFFFFF, self.ssrc)
            return True
        place = self.place(source, sequence, timestamp, now, rate, event)
        if place is None:
            return False
        ours, then, forced = place
        _pack_into(packet, 1, (0x80 if forced else marked) | pt, ours, then, self.ssrc)
        return True

    def skip(self, source: object, sequence: int) -> None:
        """A packet of this source is dropped on purpose: close the gap, which would look like loss."""
        step = signed16(sequence - self._in_sequence)
        if source is self._source and 0 < step <= MAX_DROPOUT:
            self._in_sequence = sequence
            self._sequence += step - 1
            self._floor = self._sequence + 1  # older numbers of the source map elsewhere now

    def timestamp_at(self, now: float) -> int:
        """The timestamp of a packet sent now (RFC 3550 §6.4.1)."""
        passed = 0.0 if self._at is None else now - self._at
        return self._timestamp + round(passed * self._rate) & 0xFFFFFFFF

    def follows(self, source: object) -> bool:
        """Whether this is the present source, whose numbers map to ours by fixed steps."""
        return source is self._source

    @property
    def offsets(self) -> tuple[int, int]:
        """What is added to the present source's sequence numbers and timestamps, modulo 2**16 and 2**32."""
        offsets = (self._sequence - self._in_sequence) & 0xFFFF
        return offsets, (self._timestamp - self._in_timestamp) & 0xFFFFFFFF

    @property
    def last_placed(self) -> tuple[int, int]:
        """The present source's highest sequence number and timestamp placed so far."""
        return self._in_sequence, self._in_timestamp

    def add_forwarded(self, packets: int, octets: int, timestamp: int, at: float) -> None:
        """Account for packets that the kernel sent for the present source, by the same steps, in consecutive
        order: the last had this `timestamp` and left at `at`.
        """
        self._sequence += packets
        self._in_sequence = (self._in_sequence + packets) & 0xFFFF
        self._timestamp += (timestamp - self._in_timestamp) & 0xFFFFFFFF
        self._in_timestamp = timestamp
        self._at = at
        self.packets += packets
        self.octets += octets

    def header(self, first: int, second: int, sequence: int, timestamp: int) -> bytes:
        """A 12-octet RTP header; `first` and `second` are its first two octets (RFC 3550 §5.1)."""
        return HEADER.pack(first, second, sequence, timestamp, self.ssrc)

    def _late(self, step: int, ticks: int) -> tuple[int, int, bool] | None:
        if self._sequence + step < self._floor:
            return None
        return (self._sequence + step) & 0xFFFF, (self._timestamp + ticks) & 0xFFFFFFFF, False

    def _jumped(self, ticks: int, now: float, rate: int) -> bool:
        if ticks <= rate or self._at is None:
            return False
        return ticks > (now - self._at + _BELIEVABLE_S) * rate

    def _switch(
        self, source: object, sequence: int, timestamp: int, now: float, rate: int
    ) -> tuple[int, int, bool]:
        if self._at is not None:
            # at least one packet's time, so that the two sources do not overlap
            self._timestamp += max(round((now - self._at) * rate), rate // 50)
        self._at = now
        self._rate = rate
        self._sequence += 1
        self._floor = self._sequence
        self._source = source
        self._in_sequence = sequence
        self._in_timestamp = timestamp
        return self._sequence & 0xFFFF, self._timestamp & 0xFFFFFFFF, True
