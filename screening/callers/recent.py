"""Recent calls by caller, for the rules about repeated calls."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from screening.contract import Caller

MAX_CALLERS = 10_000
"""Maximum callers remembered; the latest are kept."""


MAX_CALLS_EACH = 100
"""Maximum calls remembered per caller; the latest are kept."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """An earlier call, as read from the database."""

    call: str
    caller: str
    dialed: str
    at: datetime


class RecentCalls:
    """The times at which each caller called each number; callers without a number are not recorded."""

    def __init__(self, max_callers: int = MAX_CALLERS) -> None:
        self._max_callers = max_callers
        self._calls: dict[tuple[str, str], tuple[str, list[datetime]]] = {}
        """The id of the latest call and the times of all, oldest first, by (caller, dialled number)."""

    def record(self, caller: Caller) -> Sequence[datetime]:
        """Record this call and return the times of the caller's earlier ones, oldest first. Idempotent."""
        if caller.number is None:
            return ()
        who = (caller.number, caller.dialed)
        latest, times = self._calls.pop(who, ("", []))
        if latest != caller.call:
            times.append(caller.at)
            del times[: -MAX_CALLS_EACH - 1]
        self._calls[who] = caller.call, times
        if len(self._calls) > self._max_callers:
            del self._calls[next(iter(self._calls))]
        return times[:-1]

    def restore(self, calls: Iterable[PastCall]) -> None:
        """Load the calls from before a restart, oldest first; new ones may already have been recorded."""
        for past in calls:
            who = (past.caller, past.dialed)
            latest, times = self._calls.pop(who, ("", []))
            if not times or times[-1] <= past.at:
                latest = past.call
            insort(times, past.at)
            self._calls[who] = latest, times[-MAX_CALLS_EACH:]
            if len(self._calls) > self._max_callers:
                del self._calls[next(iter(self._calls))]
