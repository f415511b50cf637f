"""Who has called a number lately: so that somebody who calls again at once can be told from the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from screening.contract import Caller

MOST = 10_000
"""Callers that are remembered; of more, the latest."""


MOST_EACH = 100
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

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._calls: dict[tuple[str, str], list[tuple[str, datetime]]] = {}
        """The calls of each, by name, and when they were; the latest last."""

    def called(self, caller: Caller) -> datetime | None:
        """Note this call; returns when the same caller called before, or None. Again: the same."""
        earlier = self.calls(caller)
        return earlier[-1] if earlier else None

    def calls(self, caller: Caller) -> Sequence[datetime]:
        """Note this call; returns when the same caller called before, the latest last. Again: the same."""
        if caller.number is None:
            return ()
        who = (caller.number, caller.dialed)
        calls = self._calls.pop(who, [])
        if not calls or calls[-1][0] != caller.call:
            calls = [*calls[-MOST_EACH:], (caller.call, caller.at)]
        self._calls[who] = calls
        if len(self._calls) > self._most:
            del self._calls[next(iter(self._calls))]
        return [at for _, at in calls[:-1]]

    def restore(self, calls: Iterable[Past]) -> None:
        """Take in calls of before a start, the earliest first; before the first call of ours."""
        for past in calls:
            who = (past.caller, past.dialed)
            self._calls[who] = [*self._calls.pop(who, [])[1 - MOST_EACH :], (past.call, past.at)]
            if len(self._calls) > self._most:
                del self._calls[next(iter(self._calls))]
