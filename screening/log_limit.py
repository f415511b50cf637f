"""Rate limiting for log lines that strangers can cause."""

from __future__ import annotations

import structlog

log = structlog.get_logger("screendoor")

LINES_PER_MINUTE = 30


class LogLimit:
    """Logs at most `LINES_PER_MINUTE` warnings of one kind per minute."""

    def __init__(self, final_warning: str) -> None:
        """`final_warning` is logged once in place of the rest of that minute's warnings."""
        self._final_warning = final_warning
        self._since, self._lines = float("-inf"), 0

    def warning(self, now: float, event: str, **fields: object) -> None:
        """Log `event` unless the limit is reached; `now` is in seconds of any clock."""
        if not 0 <= now - self._since < 60.0:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_PER_MINUTE:
            log.warning(event, **fields)
        elif self._lines == LINES_PER_MINUTE + 1:
            log.warning(self._final_warning)
