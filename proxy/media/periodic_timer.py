"""One timer for what is done every 5 s: RTCP reports and the media watch; a timer wheel of 250 slots.

It fires at slots that have members, and otherwise only now and then: a call of one second costs no wake-up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

INTERVAL_S = 5.0
"""Time between two reports of one member (RFC 3550 §6.2: the recommended minimum for RTCP)."""
LATE_S, CATCH_UP_S = 1.0, 0.25
"""If the event loop runs this late (LATE_S), the process was stopped: it reads what has queued up for
CATCH_UP_S first, so that nobody is reported as not heard.
"""
_SLOTS = 250
_SLOT_S = INTERVAL_S / _SLOTS
_SPREAD_SLOTS, _SPREAD_STEP = 51, 20
"""Members that join together are spread over so many slots, in steps that visit each slot once. Of one slot,
one member reports per turn of the event loop, so no packet of speech waits for more than one report.
"""
_FIRST = _SLOTS // 2 - _SPREAD_SLOTS // 2
"""Slots from the wheel's position to the first where a member may join; it never advances further at once."""


class PeriodicReporter(Protocol):
    """A member: an RTP stream sends its RTCP report, a media watch reports silent legs."""

    def report(self) -> None: ...


class PeriodicTimer:
    """Calls each member every 5 s; the first time after half of that, give or take half a second (§6.2).

    Without members no timer runs.
    """

    __slots__ = (
        "_due_at",
        "_loop",
        "_members",
        "_next_offset",
        "_position",
        "_slot_of",
        "_step",
        "_timer",
        "_waiting",
    )

    def __init__(self) -> None:
        self._members: list[dict[PeriodicReporter, None]] = [{} for _ in range(_SLOTS)]
        self._slot_of: dict[PeriodicReporter, int] = {}
        self._waiting: deque[PeriodicReporter] = deque()
        """Members whose slot has come and that have not reported yet."""
        self._position, self._due_at = 0, 0.0
        """The wheel's position, and when it was due there."""
        self._step = 0
        """Slots from there to where it fires next."""
        self._next_offset = _SPREAD_SLOTS // 2
        self._loop: asyncio.AbstractEventLoop | None = None
        """The timer's event loop, once there was one."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._slot_of)

    def join(self, member: PeriodicReporter) -> None:
        """Start calling this member; if it has joined already, do nothing."""
        if member in self._slot_of:
            return
        loop = self._loop
        if loop is None or self._timer is None:
            loop = self._loop = asyncio.get_running_loop()
            self._due_at = loop.time()
            self._schedule(_FIRST, loop)
        passed = int((loop.time() - self._due_at) / _SLOT_S)
        if passed > self._step:  # the loop is late
            passed = self._step
        slot = self._slot_of[member] = (self._position + passed + _FIRST + self._next_offset) % _SLOTS
        self._next_offset = (self._next_offset + _SPREAD_STEP) % _SPREAD_SLOTS
        self._members[slot][member] = None

    def leave(self, member: PeriodicReporter) -> None:
        """Stop calling this member; an unknown one is ignored."""
        slot = self._slot_of.pop(member, None)
        if slot is not None:
            del self._members[slot][member]
        if not self._slot_of and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        loop, due = asyncio.get_running_loop(), self._due_at + self._step * _SLOT_S
        if loop.time() - due > LATE_S:
            self._timer = loop.call_later(CATCH_UP_S, self._advance, loop, due)
        else:
            self._advance(loop, due)

    def _advance(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._due_at = max(due, loop.time() - _SLOT_S)  # missed slots are skipped
        self._position = at = (self._position + self._step) % _SLOTS
        taken = (step for step in range(1, _FIRST) if self._members[(at + step) % _SLOTS])
        self._schedule(next(taken, _FIRST), loop)
        idle = not self._waiting
        self._waiting.extend(self._members[self._position])
        if idle and self._waiting:
            self._report_next()

    def _schedule(self, step: int, loop: asyncio.AbstractEventLoop) -> None:
        self._step = step
        self._timer = loop.call_at(self._due_at + step * _SLOT_S, self._expired)

    def _report_next(self) -> None:
        member = self._waiting.popleft()
        try:
            if member in self._slot_of:
                member.report()
        finally:
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._report_next)
