"""How often a destination may be dialled in an hour: what a thief could run up has a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from proxy.transport.flow import TransportFailed

HOUR_S = 3600.0


class Tolls:
    """Counts what is dialled, by destination; they are configured, so there are few."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dialled: dict[str, deque[float]] = {}

    def charge(self, destination: str, most: int) -> None:
        """Count one call to it; raises TransportFailed where it would be one too many. `most` 0: no bound."""
        if not most:
            return
        now = self._clock()
        times = self._dialled.setdefault(destination, deque())
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if len(times) >= most:
            raise TransportFailed(f"it was called {most} times within an hour, which is its limit")
        times.append(now)
