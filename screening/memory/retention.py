"""Forgetting: what is older than so many days is deleted, a few calls at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, select

from screening.memory.files import delete_calls
from screening.memory.lists import EXPECTED
from screening.memory.schema import GOING_ON, calls, entries, notices

log = structlog.get_logger("screendoor")

STEP_EVERY_S = 5.0
"""Between two steps, if there is more to do."""
CHECK_EVERY = timedelta(hours=1)
MOST = 200
"""Calls that are deleted in one step: whoever writes meanwhile waits for no more."""


class Retention:
    """Deletes what is older than `keep_days`; `step` is for the memory's thread."""

    def __init__(self, keep_days: int, wall_clock: Callable[[], datetime], most: int = MOST) -> None:
        self._kept, self._wall_clock, self._most = timedelta(days=keep_days), wall_clock, most
        self._due: datetime | None = None
        self._calls = self._files = 0

    def step(self, connection: Connection) -> None:
        """Delete a few, if it is time; say so when there are no more. Lists of people stay as they are."""
        now = self._wall_clock()
        if self._due is not None and now < self._due:
            return
        before = now - self._kept
        old = select(calls.c.id).where(calls.c.began < before, calls.c.state != GOING_ON)
        names = connection.execute(old.order_by(calls.c.began).limit(self._most)).scalars().all()
        self._files += delete_calls(connection, names)
        self._calls += len(names)
        if len(names) == self._most:
            return
        connection.execute(delete(notices).where(notices.c.created < before))
        past = (entries.c.list == EXPECTED) & (entries.c.until < before)
        connection.execute(delete(entries).where(past))
        if self._calls:
            told = {"calls": self._calls, "files": self._files}
            log.info("old calls deleted", **told, older_than=f"{before:%Y-%m-%d}")
        self._due, self._calls, self._files = now + CHECK_EVERY, 0, 0
