"""Lines of the log that strangers can cause: a few a minute, however many would be."""

from __future__ import annotations

LINES_PER_MINUTE = 30


class FewLines:
    """Counts those about one thing."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._since, self._count = 0.0, 0

    def another(self, now: float) -> int:
        """The number of one more in its minute, from 1; above LINES_PER_MINUTE it is not to be said."""
        if now - self._since >= 60.0:
            self._since, self._count = now, 0
        self._count += 1
        return self._count
