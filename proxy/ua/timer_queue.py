"""The timers of everything under way: many are set, few ever ring, and the loop holds one of them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

SPARE = 256
"""So many cancelled alarms may stand beside as many as were set at the last clearing."""
LATE_S = 1.0
"""A loop that is later than this was stopped (a paused container, a frozen machine, SIGSTOP): it wakes with
its timers first, and what came meanwhile lies unread in the sockets."""
READING_S = 0.25
"""So long that is read before anything rings: an answer that has come is not one that never came."""


class Alarm:
    """One of them; cancelled, it lets go of whom it would have called, and never rings."""

    __slots__ = ("ring",)
    ring: Callable[[], None] | None
    """Set by who makes it, which costs less than a constructor: six are made in every call."""

    def cancel(self) -> None:
        """It need not ring any more; again changes nothing."""
        self.ring = None


class Alarms:
    """Each rings at its own loop time, in the order of time.

    Nearly all are cancelled long before: a timer of the loop for each would cost more than what it is for.
    """

    def __init__(self) -> None:
        self._set: list[tuple[float, int, Alarm]] = []
        self._count, self._most = 0, SPARE
        self.now: Callable[[], float] = self._now
        """The loop's time."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """Whose time it is, once it is known."""
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
        """When those ring that are not cancelled, in order."""
        return sorted(when for when, _, alarm in self._set if alarm.ring is not None)

    def close(self) -> None:
        """Ring no more."""
        self._set.clear()
        self._wake(inf)

    def _now(self) -> float:
        """The first to ask finds out whose time it is: we are made before the loop runs."""
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
        now = max(self.now(), when)  # the loop may wake us a clock tick early
        self._wakes_at = -inf  # whatever is set meanwhile needs no timer of its own
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
        finally:  # one that fails is for the loop to tell of, the others ring all the same
            self._wake(alarms[0][0] if alarms else inf)

    def _clear_out(self) -> None:
        """Forget the cancelled ones whose time is far away yet."""
        self._set[:] = [each for each in self._set if each[2].ring is not None]
        heapify(self._set)
        self._most = 2 * len(self._set) + SPARE
