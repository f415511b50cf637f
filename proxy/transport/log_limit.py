"""Rate limit for log lines that unknown peers can cause."""

from __future__ import annotations

LINES_PER_MINUTE = 30


class LogLimit:
    """Counts the log lines of one kind per minute."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._since, self._count = 0.0, 0

    def count(self, now: float) -> int:
        """Count one more line and return its number within the minute, from 1.

        Above LINES_PER_MINUTE the caller must not log it.
        """
        if now - self._since >= 60.0:
            self._since, self._count = now, 0
        self._count += 1
        return self._count
