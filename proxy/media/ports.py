"""The range of UDP ports media may use: an even one for RTP, the next for RTCP (RFC 3550 §11)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

REST_S = 2.0
"""How long a pair rests before another call may have it: so long do strays of the last one come."""


class NoPortFree(Exception):
    """Every media port is in use; the story answers 503."""


class PortPool:
    """Even ports of a range, lent and given back. One that has rested goes before one never lent, since its
    sockets may still stand (`SocketMedia`); where there is neither, the one that rested longest. What another
    program had when it was lent comes after all of them.
    """

    def __init__(self, low: int, high: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < low < high <= 65535:
            raise ValueError(f"not a port range: {low}-{high}")
        self.range = range(low, high + 1)
        """Every port of it, lent or not."""
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
        """How many pairs are free."""
        return len(self._fresh) + len(self._resting) + len(self._taken)

    @property
    def lent(self) -> int:
        """How many pairs are in use."""
        return len(self._lent)

    def take(self) -> int:
        """The RTP port of a pair. Raises NoPortFree."""
        return self.lend()[0]

    def lend(self) -> tuple[int, bool]:
        """The RTP port of a pair, and whether it has rested or was never lent. Raises NoPortFree."""
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
        """The pair is free again. Giving back what is not lent is a bug and raises ValueError."""
        self._end_loan(port)
        self._resting.append((port, self._clock()))

    def pass_over(self, port: int) -> None:
        """The same for one that another program has."""
        self._end_loan(port)
        self._taken.append(port)

    def _end_loan(self, port: int) -> None:
        if port not in self._lent:
            raise ValueError(f"port {port} was not lent")
        self._lent.remove(port)
