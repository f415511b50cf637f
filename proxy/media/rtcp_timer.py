"""One timer for the RTCP reports of all streams: a timer wheel of 250 slots and 5 seconds.

It fires at slots that have members, and otherwise only now and then: a call of one second costs no wake-up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

INTERVAL_S = 5.0
"""Time between two reports of one stream (RFC 3550 §6.2: the recommended minimum)."""
LATE_S, READING_S = 1.0, 0.25
"""If the event loop runs this late (LATE_S), the process was stopped: it reads what has queued up for
READING_S first, so that nobody is reported as not heard.
"""
_NOTCHES = 250
_NOTCH_S = INTERVAL_S / _NOTCHES
_SPREAD, _STEP = 51, 20
"""Members that join together are spread over so many slots, in steps that visit each slot once. Of one slot,
one member reports per turn of the event loop, so no packet of speech waits for more than one report.
"""
_FIRST = _NOTCHES // 2 - _SPREAD // 2
"""Slots from the wheel's position to the first where a member may join; it never advances further at once."""


class RtcpReporter(Protocol):
    """A member: something that sends reports."""

    def report(self) -> None: ...


class RtcpTimer:
    """Calls each member every 5 s; the first time after half of that, give or take half a second (§6.2).

    Without members no timer runs.
    """

    __slots__ = ("_at", "_due", "_joined", "_loop", "_members", "_notch_of", "_step", "_timer", "_turned")

    def __init__(self) -> None:
        self._members: list[dict[RtcpReporter, None]] = [{} for _ in range(_NOTCHES)]
        self._notch_of: dict[RtcpReporter, int] = {}
        self._due: deque[RtcpReporter] = deque()
        """Members whose slot has come and that have not reported yet."""
        self._at, self._turned = 0, 0.0
        """The wheel's position, and when it was due there."""
        self._step = 0
        """Slots from there to where it fires next."""
        self._joined = _SPREAD // 2
        self._loop: asyncio.AbstractEventLoop | None = None
        """The timer's event loop, once there was one."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._notch_of)

    def join(self, member: RtcpReporter) -> None:
        """Start calling this member; if it has joined already, do nothing."""
        if member in self._notch_of:
            return
        loop = self._loop
        if loop is None or self._timer is None:
            loop = self._loop = asyncio.get_running_loop()
            self._turned = loop.time()
            self._stop_after(_FIRST, loop)
        passed = int((loop.time() - self._turned) / _NOTCH_S)
        if passed > self._step:  # the loop is late
            passed = self._step
        notch = self._notch_of[member] = (self._at + passed + _FIRST + self._joined) % _NOTCHES
        self._joined = (self._joined + _STEP) % _SPREAD
        self._members[notch][member] = None

    def leave(self, member: RtcpReporter) -> None:
        """Stop calling this member; an unknown one is ignored."""
        notch = self._notch_of.pop(member, None)
        if notch is not None:
            del self._members[notch][member]
        if not self._notch_of and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        loop, due = asyncio.get_running_loop(), self._turned + self._step * _NOTCH_S
        if loop.time() - due > LATE_S:
            self._timer = loop.call_later(READING_S, self._stop, loop, due)
        else:
            self._stop(loop, due)

    def _stop(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._turned = max(due, loop.time() - _NOTCH_S)  # missed slots are skipped
        self._at = at = (self._at + self._step) % _NOTCHES
        taken = (step for step in range(1, _FIRST) if self._members[(at + step) % _NOTCHES])
        self._stop_after(next(taken, _FIRST), loop)
        idle = not self._due
        self._due.extend(self._members[self._at])
        if idle and self._due:
            self._next()

    def _stop_after(self, step: int, loop: asyncio.AbstractEventLoop) -> None:
        self._step = step
        self._timer = loop.call_at(self._turned + step * _NOTCH_S, self._turn)

    def _next(self) -> None:
        member = self._due.popleft()
        try:
            if member in self._notch_of:
                member.report()
        finally:
            if self._due:
                asyncio.get_running_loop().call_soon(self._next)
