"""Who has called a number lately: so that somebody who calls again at once can be told from the others."""

from __future__ import annotations

from datetime import datetime

from screening.contract import Caller

MOST = 10_000
"""Callers that are remembered; of more, the latest."""


class RecentCalls:
    """When each caller last called each number; withheld callers are nobody."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last: dict[tuple[str, str], datetime] = {}

    def called(self, caller: Caller) -> datetime | None:
        """Note this call; returns when the same caller called before, or None."""
        if caller.number is None:
            return None
        who = (caller.number, caller.dialed)
        before = self._last.pop(who, None)
        self._last[who] = caller.at
        if len(self._last) > self._most:
            del self._last[next(iter(self._last))]
        return before
