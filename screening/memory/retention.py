"""Deletes calls older than `memory.keep_days`, a few at a time.

A wrong clock would delete data for good, so the wall clock is trusted only after it has run steadily for a
while: a machine may boot with any time until NTP corrects it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, func, select

from screening.memory.files import delete_calls
from screening.memory.lists import EXPECTED
from screening.memory.schema import GOING_ON, calls, entries, notices

log = structlog.get_logger("screendoor")

STEP_S = 5.0
"""Interval between deletion steps."""
CHECK_S = 3600.0
BATCH_SIZE = 200
"""Calls deleted per step, which bounds how long other writers wait."""
MAX_DRIFT = timedelta(minutes=1)
"""A wall clock that deviates from the monotonic one by more than this starts its steady period anew."""
STEADY_S = 3600.0
"""How long the clock must run steadily before it is trusted."""
DOUBTED_STEADY_S = 86400.0
"""The same where the clock makes every call expired and none is newer than `LONG`: it is probably wrong."""
LONG = timedelta(days=14)


class Retention:
    """Deletes what is older than `keep_days`; `step` runs in the memory's thread."""

    def __init__(
        self,
        keep_days: int,
        wall_clock: Callable[[], datetime],
        batch_size: int = BATCH_SIZE,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic."""
        self._kept, self._batch_size = timedelta(days=keep_days), batch_size
        self._wall_clock, self._clock = wall_clock, clock
        self._steady: tuple[datetime, float] | None = None
        """Start of the steady period, on the wall clock and on the monotonic clock."""
        self._due = 0.0
        self._calls = self._files = 0

    def step(self, connection: Connection) -> None:
        """Delete one batch if it is due, and log the total after the last.

        Lists stay, except expired expectations.
        """
        now, seconds = self._wall_clock(), self._clock()
        if not self._clock_trusted(connection, now, seconds) or seconds < self._due:
            return
        before = now - self._kept
        old = select(calls.c.id).where(calls.c.began < before, calls.c.state != GOING_ON)
        names = connection.execute(old.order_by(calls.c.began).limit(self._batch_size)).scalars().all()
        self._files += delete_calls(connection, names)
        self._calls += len(names)
        if len(names) == self._batch_size:
            return
        connection.execute(delete(notices).where(notices.c.created < before))
        past = (entries.c.list == EXPECTED) & (entries.c.until < before)
        connection.execute(delete(entries).where(past))
        if self._calls:
            counts = {"calls": self._calls, "files": self._files}
            log.info("old calls deleted", **counts, older_than=f"{before:%Y-%m-%d}")
        self._due, self._calls, self._files = seconds + CHECK_S, 0, 0

    def _clock_trusted(self, connection: Connection, now: datetime, seconds: float) -> bool:
        """Whether the wall clock is trusted to run steadily; if it leapt, deletion is postponed."""
        if self._steady is not None:
            began, at = self._steady
            if abs(now - began - timedelta(seconds=seconds - at)) <= MAX_DRIFT:
                return True
        self._steady = now, seconds
        self._due = seconds + (DOUBTED_STEADY_S if self._would_delete_all(connection, now) else STEADY_S)
        return False

    def _would_delete_all(self, connection: Connection, now: datetime) -> bool:
        """Whether retention would delete every call so far, the last of them long ago."""
        last = connection.scalar(select(func.max(calls.c.began)).where(calls.c.began <= now))
        if last is None or now - last <= max(self._kept, LONG):
            return False
        log.warning(
            "by the clock all calls are older than keep_days: if it is wrong, put it right within a day",
            clock=f"{now:%Y-%m-%d %H:%M %Z}",
            last_call=f"{last:%Y-%m-%d}",
        )
        return True
