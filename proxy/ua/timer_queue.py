"""A timer queue on one event-loop timer: many timers are set, and few of them ever fire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

COMPACT_SLACK = 256
"""Cancelled timers are cleared out when the queue exceeds twice its size at the last clearing plus this."""
LATE_S = 1.0
"""A loop timer that fires this late means the process was stopped (paused container, SIGSTOP, suspend).

Timers then run first, while messages that arrived meanwhile are still unread in the sockets.
"""
CATCH_UP_S = 0.25
"""After such a stop, time to read the sockets before timers fire, so that responses count as received."""


class Timer:
    """One timer. Cancelling it drops its callback."""

    __slots__ = ("callback",)
    callback: Callable[[], None] | None
    """Set by the queue; cheaper than a constructor, and six are made in every call."""

    def cancel(self) -> None:
        """Never fire; cancelling again does nothing."""
        self.callback = None


class TimerQueue:
    """Calls each callback at its loop time, in order.

    Nearly all timers are cancelled long before: a loop timer for each would cost more than the work it
    guards.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count, self._compact_above = 0, COMPACT_SLACK
        self.now: Callable[[], float] = self._now
        """The loop's time."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop, once known."""
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = inf

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at loop time `when`."""
        heap = self._heap
        self._count = count = self._count + 1
        timer = Timer()
        timer.callback = callback
        heappush(heap, (when, count, timer))
        if when < self._fires_at:
            self._set_loop_timer(when)
        if len(heap) > self._compact_above:
            self._compact()
        return timer

    @property
    def pending(self) -> list[float]:
        """Times of the timers not cancelled, in order."""
        return sorted(when for when, _, timer in self._heap if timer.callback is not None)

    def close(self) -> None:
        """Cancel everything."""
        self._heap.clear()
        self._set_loop_timer(inf)

    def _now(self) -> float:
        """The first call finds the loop and replaces itself: the queue is made before the loop runs."""
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        return self.now()

    def _set_loop_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = when
        if when == inf:
            self._timer = None
        else:
            self._timer = (self.loop or asyncio.get_running_loop()).call_at(when, self._due, when)

    def _due(self, when: float) -> None:
        now = max(self.now(), when)  # the loop may fire a clock tick early
        self._fires_at = -inf  # timers set by the callbacks need no loop timer of their own
        if now - when > LATE_S:
            loop = self.loop or asyncio.get_running_loop()
            self._timer = loop.call_at(now + CATCH_UP_S, self._fire, now + CATCH_UP_S)
        else:
            self._fire(now)

    def _fire(self, now: float) -> None:
        heap = self._heap
        try:
            while heap and (heap[0][0] <= now or heap[0][2].callback is None):
                if (callback := heappop(heap)[2].callback) is not None:
                    callback()
        finally:  # the loop reports a callback that raises; the other timers must still fire
            self._set_loop_timer(heap[0][0] if heap else inf)

    def _compact(self) -> None:
        """Remove cancelled timers that are not yet due."""
        self._heap[:] = [each for each in self._heap if each[2].callback is not None]
        heapify(self._heap)
        self._compact_above = 2 * len(self._heap) + COMPACT_SLACK
