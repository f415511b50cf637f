"""Caps on calls per hour to each destination, which bound the cost of toll fraud."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from proxy.transport.flow import TransportFailed

HOUR_S = 3600.0


class DestinationCaps:
    """Counts the calls of the last hour by destination; these are configured, so there are few."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dialled: dict[str, deque[float]] = {}

    def charge(self, destination: str, max_calls: int) -> None:
        """Count one call to a destination; raises TransportFailed if it would exceed the cap.

        `max_calls`: the cap per hour; 0 for none.
        """
        if not max_calls:
            return
        now = self._clock()
        times = self._dialled.setdefault(destination, deque())
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if len(times) >= max_calls:
            raise TransportFailed(f"it was called {max_calls} times within an hour, which is its limit")
        times.append(now)
