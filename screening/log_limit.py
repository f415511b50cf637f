"""Rate limiting for log lines that strangers can cause."""

from __future__ import annotations

import structlog

log = structlog.get_logger("screendoor")

LINES_PER_MINUTE = 30


class Seldom:
    """Logs at most `LINES_PER_MINUTE` warnings of one kind per minute."""

    def __init__(self, too_many: str) -> None:
        """`too_many` is logged once in place of the rest of that minute's warnings."""
        self._too_many = too_many
        self._since, self._lines = float("-inf"), 0

    def warning(self, now: float, what: str, **told: object) -> None:
        """Log `what` unless the limit is reached; `now` is in seconds of any clock."""
        if not 0 <= now - self._since < 60.0:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_PER_MINUTE:
            log.warning(what, **told)
        elif self._lines == LINES_PER_MINUTE + 1:
            log.warning(self._too_many)
