"""The pool of UDP media ports: even ones for RTP, the next for RTCP (RFC 3550 §11)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

REST_S = 2.0
"""How long a returned pair rests before it is lent again: late packets of its last call arrive meanwhile."""


class NoPortFree(Exception):
    """Every media port is in use; the call answers 503."""


class PortPool:
    """Lends the even ports of a range. A rested port is preferred to a fresh one, as its sockets may still be
    open (`SocketMedia`); if there is neither, the one that has rested longest. Ports that turned out to be in
    use by another program come last.
    """

    def __init__(self, low: int, high: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < low < high <= 65535:
            raise ValueError(f"not a port range: {low}-{high}")
        self.range = range(low, high + 1)
        """Every port of the range, lent or not."""
        first = low + low % 2
        self._fresh = deque(range(first, high, 2))
        if not self._fresh:
            raise ValueError(f"no even port with its odd neighbour in {low}-{high}")
        self._resting: deque[tuple[int, float]] = deque()
        self._taken: deque[int] = deque()
        self._lent: set[int] = set()
        self._clock = clock

    @property
    def free(self) -> int:
        """Number of free pairs."""
        return len(self._fresh) + len(self._resting) + len(self._taken)

    @property
    def lent(self) -> int:
        """Number of pairs in use."""
        return len(self._lent)

    def take(self) -> int:
        """Lend a pair; returns its RTP port. Raises NoPortFree."""
        return self.lend()[0]

    def lend(self) -> tuple[int, bool]:
        """Lend a pair; returns its RTP port, and whether it is fresh or has rested. Raises NoPortFree."""
        resting = self._resting
        rested = not resting or self._clock() - resting[0][1] >= REST_S
        if resting and (rested or not self._fresh):
            port = resting.popleft()[0]
        elif self._fresh:
            port, rested = self._fresh.popleft(), True
        elif self._taken:
            port, rested = self._taken.popleft(), True
        else:
            raise NoPortFree(f"all {self.lent} pairs of media ports are in use")
        self._lent.add(port)
        return port, rested

    def give_back(self, port: int) -> None:
        """Return a pair. Raises ValueError if it was not lent, which is a bug."""
        self._end_loan(port)
        self._resting.append((port, self._clock()))

    def pass_over(self, port: int) -> None:
        """Return a pair that another program uses; it is lent again only as a last resort."""
        self._end_loan(port)
        self._taken.append(port)

    def _end_loan(self, port: int) -> None:
        if port not in self._lent:
            raise ValueError(f"port {port} was not lent")
        self._lent.remove(port)
