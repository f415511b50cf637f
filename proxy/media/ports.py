"""The range of UDP ports media may use: an even one for RTP, the next for RTCP (RFC 3550 §11)."""

from __future__ import annotations

from collections import deque


class NoPortFree(Exception):
    """Every media port is in use; the story answers 503."""


class PortPool:
    """Even ports of a range, lent and given back. The one that rested longest goes first, so that stray
    packets of a call just ended do not meet the next.
    """

    def __init__(self, low: int, high: int) -> None:
        if not 0 < low < high <= 65535:
            raise ValueError(f"not a port range: {low}-{high}")
        first = low + low % 2
        self._free = deque(range(first, high, 2))
        if not self._free:
            raise ValueError(f"no even port with its odd neighbour in {low}-{high}")
        self._lent: set[int] = set()

    @property
    def free(self) -> int:
        """How many pairs are free."""
        return len(self._free)

    @property
    def lent(self) -> int:
        """How many pairs are in use."""
        return len(self._lent)

    def take(self) -> int:
        """The RTP port of a pair. Raises NoPortFree."""
        if not self._free:
            raise NoPortFree(f"all {len(self._lent)} pairs of media ports are in use")
        port = self._free.popleft()
        self._lent.add(port)
        return port

    def give_back(self, port: int) -> None:
        """The pair is free again. Giving back what is not lent is a bug and raises ValueError."""
        if port not in self._lent:
            raise ValueError(f"port {port} was not lent")
        self._lent.remove(port)
        self._free.append(port)
