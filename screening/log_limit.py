"""Lines of the log that strangers can cause: a few of them, and a flood is one more."""

from __future__ import annotations

import structlog

log = structlog.get_logger("screendoor")

LINES_PER_MINUTE = 30


class Seldom:
    """Warnings about one thing."""

    def __init__(self, too_many: str) -> None:
        """`too_many` is said in place of all that follow within a minute."""
        self._too_many = too_many
        self._since, self._lines = float("-inf"), 0

    def warning(self, now: float, what: str, **told: object) -> None:
        """`now`: seconds of any clock."""
        if not 0 <= now - self._since < 60.0:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_PER_MINUTE:
            log.warning(what, **told)
        elif self._lines == LINES_PER_MINUTE + 1:
            log.warning(self._too_many)
