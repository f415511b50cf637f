"""The one line of RTP that a peer sees from us for the whole call, whoever feeds it (RFC 3550 §5.1, §8.1)."""

from __future__ import annotations

from struct import Struct

from proxy.media.rtp import HEADER, MAX_DROPOUT, MAX_MISORDER, signed16, signed32

_pack_into = Struct("!BHII").pack_into
"""All of a header but its first octet, which is kept."""
_BELIEVABLE_S = 10.0
"""How much further than the wall clock a source's timestamp may leap before it counts as started anew."""


class OutLine:
    """Constant SSRC, continuous sequence numbers, monotonic timestamps across every change of source.

    Inside one source the steps of its sequence numbers and timestamps are kept, so loss stays loss and
    reordering stays reordering. At a change of source the sequence goes on by one, the timestamp by the wall
    time that passed, and the marker bit is set.
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
        self._sequence = sequence  # highest sent; grows without wrapping, as _timestamp does
        self._timestamp = timestamp
        self._floor = sequence + 1  # first of the present source: nothing older of it may be sent
        self._at: float | None = None  # when _timestamp was sent
        self._source: object = None
        self._in_sequence = 0
        self._in_timestamp = 0
        self._rate = 8000
        self.packets = 0
        """Packets sent, and octets of payload in them, for sender reports."""
        self.octets = 0

    @property
    def at(self) -> float | None:
        """When the last packet that moved the timestamp on was sent; None if none was."""
        return self._at

    def cut(self) -> None:
        """What comes next is a new source, even if it is the last one again."""
        self._source = None

    def place(
        self, source: object, sequence: int, timestamp: int, now: float, rate: int, event: bool = False
    ) -> tuple[int, int, bool] | None:
        """Our sequence number, timestamp and whether to force the marker, for one packet of a source.

        `source` is compared by identity. `event`: a telephone-event, whose timestamp is its start and may lie
        behind speech already sent (RFC 4733 §2.2). None: too late, its place belongs to the source before.
        """
        if source is not self._source:
            return self._switch(source, sequence, timestamp, now, rate)
        step = signed16(sequence - self._in_sequence)
        ticks = signed32(timestamp - self._in_timestamp)
        if step <= 0 and step >= -MAX_MISORDER:
            return self._late(step, ticks)
        if not 0 < step <= MAX_DROPOUT or (ticks < 0 and not event) or self._leapt(ticks, now, rate):
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
        """Make a packet of a source one of ours, where it lies; see `place`. `marked`: its marker bit, 0 or
        0x80. False: it must not be sent.
        """
        ticks = timestamp - self._in_timestamp
        if source is self._source and (sequence - self._in_sequence) & 0xFFFF == 1 and 0 < ticks <= rate:
            self._in_sequence, self._in_timestamp, self._at = sequence, timestamp, now
            self._sequence = ours = self._sequence + 1  # the next one, as nearly all are
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
        """A packet of this source is left out on purpose: that must not look like loss."""
        step = signed16(sequence - self._in_sequence)
        if source is self._source and 0 < step <= MAX_DROPOUT:
            self._in_sequence = sequence
            self._sequence += step - 1
            self._floor = self._sequence + 1  # older numbers of the source lead elsewhere now

    def timestamp_at(self, now: float) -> int:
        """The timestamp that a packet of this moment would have (RFC 3550 §6.4.1)."""
        passed = 0.0 if self._at is None else now - self._at
        return self._timestamp + round(passed * self._rate) & 0xFFFFFFFF

    def follows(self, source: object) -> bool:
        """Whether this source is the one that was placed last: its numbers lead to ours by fixed steps."""
        return source is self._source

    @property
    def steps(self) -> tuple[int, int]:
        """What is added to the present source's sequence numbers and timestamps, modulo 2**16 and 2**32."""
        steps = (self._sequence - self._in_sequence) & 0xFFFF
        return steps, (self._timestamp - self._in_timestamp) & 0xFFFFFFFF

    @property
    def last_taken(self) -> tuple[int, int]:
        """The highest sequence number and timestamp of the present source that were placed."""
        return self._in_sequence, self._in_timestamp

    def went_on(self, packets: int, octets: int, timestamp: int, at: float) -> None:
        """Packets of the present source went out by another way and by the same steps, numbered one after
        another; the last, of that timestamp, at `at`.
        """
        self._sequence += packets
        self._in_sequence = (self._in_sequence + packets) & 0xFFFF
        self._timestamp += (timestamp - self._in_timestamp) & 0xFFFFFFFF
        self._in_timestamp = timestamp
        self._at = at
        self.packets += packets
        self.octets += octets

    def header(self, first: int, second: int, sequence: int, timestamp: int) -> bytes:
        """The twelve octets of a packet of this line; first and second as RFC 3550 §5.1 draws them."""
        return HEADER.pack(first, second, sequence, timestamp, self.ssrc)

    def _late(self, step: int, ticks: int) -> tuple[int, int, bool] | None:
        if self._sequence + step < self._floor:
            return None
        return (self._sequence + step) & 0xFFFF, (self._timestamp + ticks) & 0xFFFFFFFF, False

    def _leapt(self, ticks: int, now: float, rate: int) -> bool:
        if ticks <= rate or self._at is None:
            return False
        return ticks > (now - self._at + _BELIEVABLE_S) * rate

    def _switch(
        self, source: object, sequence: int, timestamp: int, now: float, rate: int
    ) -> tuple[int, int, bool]:
        if self._at is not None:
            # never less than one packet, so that two sources' speech does not overlap
            self._timestamp += max(round((now - self._at) * rate), rate // 50)
        self._at = now
        self._rate = rate
        self._sequence += 1
        self._floor = self._sequence
        self._source = source
        self._in_sequence = sequence
        self._in_timestamp = timestamp
        return self._sequence & 0xFFFF, self._timestamp & 0xFFFFFFFF, True
