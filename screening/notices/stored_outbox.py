"""Outbox in the database, which survives restarts.

Writes are queued in order with those of the call records, and wait with them while the database is
unavailable. A delivery that arrives right before the process ends may not be marked as done; it is then sent
again under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from screening.memory.errors import Away
from screening.memory.schema import notices, processes
from screening.memory.store import Memory
from screening.notices.delivery import Letter, Unreachable, Waiting
from screening.notices.retry_schedule import LONGEST_S

WAITING, DONE, GIVEN_UP = "waiting", "done", "given up"
CARRIED_S = 90.0
"""How long a delivery that was taken is reserved among the processes that share a database; longer than any
attempt. If its process dies, another one retries it afterwards.
"""


class StoredOutbox:
    """Implements `Outbox`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        self._memory.later(lambda connection: insert(connection, letters))
        return ()

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        mine = (notices.c.target == target) & (notices.c.state == WAITING)
        due = or_(notices.c.due <= _moment(now), notices.c.due > _moment(now + LONGEST_S))

        def read(connection: Connection) -> Waiting:
            chosen = select(notices).where(mine & due).order_by(notices.c.due, notices.c.id).limit(most)
            found = [_letter(row) for row in connection.execute(chosen.with_for_update(skip_locked=True))]
            if found:
                taken = notices.c.id.in_([letter.id for letter in found])
                connection.execute(update(notices).where(taken).values(due=_moment(now + CARRIED_S)))
            first = connection.scalar(select(func.min(notices.c.due)).where(mine)) if not found else None
            return Waiting(found, first.timestamp() if first else None)

        try:
            return await self._memory.ask(read)
        except Away as away:
            raise Unreachable(str(away)) from away

    def done(self, letter: Letter) -> None:
        self._note(letter, state=DONE, why=None)

    def later(self, letter: Letter, due: float, why: str) -> None:
        self._note(letter, due=_moment(due), why=why)

    def given_up(self, letter: Letter, why: str) -> None:
        self._note(letter, state=GIVEN_UP, why=why)

    async def abandon(self, targets: Collection[str]) -> int:
        """Does nothing while other processes are running: they may have other targets."""
        alone = select(func.count()).select_from(processes).scalar_subquery() <= 1
        others = (notices.c.state == WAITING) & notices.c.target.not_in(list(targets)) & alone
        given_up = update(notices).where(others).values(state=GIVEN_UP, why="no such target in the settings")

        def write(connection: Connection) -> int:
            return connection.execute(given_up).rowcount

        try:
            return await self._memory.ask(write)
        except Away as away:
            raise Unreachable(str(away)) from away

    def lost(self) -> int:
        return 0

    def _note(self, letter: Letter, **values: object) -> None:
        noted = update(notices).where(notices.c.id == letter.id).values(tries=letter.tries, **values)
        self._memory.later(lambda connection: connection.execute(noted))


def insert(connection: Connection, letters: Sequence[Letter]) -> None:
    """Insert new deliveries; update payload and due time of those not attempted yet."""
    upsert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(notices)
    fresh = {"payload": upsert.excluded.payload, "due": upsert.excluded.due}
    untried = (notices.c.state == WAITING) & (notices.c.tries == 0)
    written = upsert.on_conflict_do_update(index_elements=["id"], set_=fresh, where=untried)
    connection.execute(written, [_row(letter) for letter in letters])


def _row(letter: Letter) -> dict[str, object]:
    return {
        "id": letter.id,
        "event": letter.event,
        "target": letter.target,
        "payload": dict(letter.payload),
        "call": letter.payload["data"].get("call"),
        "created": _moment(letter.created),
        "tries": letter.tries,
        "due": _moment(letter.due),
        "state": WAITING,
    }


def _letter(row: Row[tuple[object, ...]]) -> Letter:
    return Letter(
        row.id, row.event, row.target, row.payload, row.created.timestamp(), row.due.timestamp(), row.tries
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
