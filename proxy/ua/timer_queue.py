"""A timer queue on one event-loop timer: many timers are set, and few of them ever fire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

SPARE = 256
"""Cancelled timers are cleared out when the queue exceeds twice its size at the last clearing plus this."""
LATE_S = 1.0
"""A loop timer that fires this late means the process was stopped (paused container, SIGSTOP, suspend).

Timers then run first, while messages that arrived meanwhile are still unread in the sockets.
"""
READING_S = 0.25
"""After such a stop, time to read the sockets before timers fire, so that responses count as received."""


class Alarm:
    """One timer. Cancelling it drops its callback."""

    __slots__ = ("ring",)
    ring: Callable[[], None] | None
    """Set by the queue; cheaper than a constructor, and six are made in every call."""

    def cancel(self) -> None:
        """Never fire; cancelling again does nothing."""
        self.ring = None


class Alarms:
    """Calls each callback at its loop time, in order.

    Nearly all timers are cancelled long before: a loop timer for each would cost more than the work it
    guards.
    """

    def __init__(self) -> None:
        self._set: list[tuple[float, int, Alarm]] = []
        self._count, self._most = 0, SPARE
        self.now: Callable[[], float] = self._now
        """The loop's time."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop, once known."""
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = inf

    def at(self, when: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` at loop time `when`."""
        alarms = self._set
        self._count = count = self._count + 1
        alarm = Alarm()
        alarm.ring = ring
        heappush(alarms, (when, count, alarm))
        if when < self._wakes_at:
            self._wake(when)
        if len(alarms) > self._most:
            self._clear_out()
        return alarm

    @property
    def waiting(self) -> list[float]:
        """Times of the timers not cancelled, in order."""
        return sorted(when for when, _, alarm in self._set if alarm.ring is not None)

    def close(self) -> None:
        """Cancel everything."""
        self._set.clear()
        self._wake(inf)

    def _now(self) -> float:
        """The first call finds the loop and replaces itself: the queue is made before the loop runs."""
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        return self.now()

    def _wake(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = when
        if when == inf:
            self._timer = None
        else:
            self._timer = (self.loop or asyncio.get_running_loop()).call_at(when, self._due, when)

    def _due(self, when: float) -> None:
        now = max(self.now(), when)  # the loop may fire a clock tick early
        self._wakes_at = -inf  # timers set by the callbacks need no loop timer of their own
        if now - when > LATE_S:
            loop = self.loop or asyncio.get_running_loop()
            self._timer = loop.call_at(now + READING_S, self._ring, now + READING_S)
        else:
            self._ring(now)

    def _ring(self, now: float) -> None:
        alarms = self._set
        try:
            while alarms and (alarms[0][0] <= now or alarms[0][2].ring is None):
                if (ring := heappop(alarms)[2].ring) is not None:
                    ring()
        finally:  # the loop reports a callback that raises; the other timers must still fire
            self._wake(alarms[0][0] if alarms else inf)

    def _clear_out(self) -> None:
        """Remove cancelled timers that are not yet due."""
        self._set[:] = [each for each in self._set if each[2].ring is not None]
        heapify(self._set)
        self._most = 2 * len(self._set) + SPARE
