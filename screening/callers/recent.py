"""Who has called a number lately: so that somebody who calls again at once can be told from the others."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from screening.contract import Caller

MAX = 10_000
"""Callers that are remembered; of more, the latest."""


MAX_EACH = 100
"""Calls of one caller that are remembered; of more, the latest."""


@dataclass(frozen=True, slots=True)
class Past:
    """A call of before."""

    call: str
    caller: str
    dialed: str
    at: datetime


class RecentCalls:
    """When each caller called each number; withheld callers are nobody."""

    def __init__(self, most: int = MAX) -> None:
        self._most = most
        self._calls: dict[tuple[str, str], tuple[str, list[datetime]]] = {}
        """The name of the latest call of each, and when all of them were; the latest last."""

    def called(self, caller: Caller) -> datetime | None:
        """Note this call; returns when the same caller called before, or None. Again: the same."""
        earlier = self.calls(caller)
        return earlier[-1] if earlier else None

    def calls(self, caller: Caller) -> Sequence[datetime]:
        """Note this call; returns when the same caller called before, the latest last. Again: the same."""
        if caller.number is None:
            return ()
        who = (caller.number, caller.dialed)
        latest, times = self._calls.pop(who, ("", []))
        if latest != caller.call:
            times.append(caller.at)
            del times[: -MAX_EACH - 1]
        self._calls[who] = caller.call, times
        if len(self._calls) > self._most:
            del self._calls[next(iter(self._calls))]
        return times[:-1]

    def restore(self, calls: Iterable[Past]) -> None:
        """Take in calls of before a start, the earliest first; some of ours may have come already."""
        for past in calls:
            who = (past.caller, past.dialed)
            latest, times = self._calls.pop(who, ("", []))
            if not times or times[-1] <= past.at:
                latest = past.call
            insort(times, past.at)
            self._calls[who] = latest, times[-MAX_EACH:]
            if len(self._calls) > self._most:
                del self._calls[next(iter(self._calls))]
