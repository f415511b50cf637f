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

from screening.memory.errors import Unavailable
from screening.memory.schema import notices, processes
from screening.memory.store import Memory
from screening.notices.delivery import Delivery, Due, OutboxUnavailable
from screening.notices.retry_schedule import MAX_RETRY_DELAY_S

WAITING, DONE, GIVEN_UP = "waiting", "done", "given up"
CLAIM_S = 90.0
"""How long a delivery that was taken is reserved among the processes that share a database; longer than any
attempt. If its process dies, another one retries it afterwards.
"""


class StoredOutbox:
    """Implements `Outbox`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def put(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        self._memory.enqueue(lambda connection: insert(connection, deliveries))
        return ()

    async def take_due(self, target: str, now: float, limit: int) -> Due:
        mine = (notices.c.target == target) & (notices.c.state == WAITING)
        due = or_(notices.c.due <= _moment(now), notices.c.due > _moment(now + MAX_RETRY_DELAY_S))

        def read(connection: Connection) -> Due:
            chosen = select(notices).where(mine & due).order_by(notices.c.due, notices.c.id).limit(limit)
            found = [_delivery(row) for row in connection.execute(chosen.with_for_update(skip_locked=True))]
            if found:
                taken = notices.c.id.in_([delivery.id for delivery in found])
                connection.execute(update(notices).where(taken).values(due=_moment(now + CLAIM_S)))
            first = connection.scalar(select(func.min(notices.c.due)).where(mine)) if not found else None
            return Due(found, first.timestamp() if first else None)

        try:
            return await self._memory.ask(read)
        except Unavailable as away:
            raise OutboxUnavailable(str(away)) from away

    def done(self, delivery: Delivery) -> None:
        self._note(delivery, state=DONE, why=None)

    def retry(self, delivery: Delivery, due: float, why: str) -> None:
        self._note(delivery, due=_moment(due), why=why)

    def given_up(self, delivery: Delivery, why: str) -> None:
        self._note(delivery, state=GIVEN_UP, why=why)

    async def abandon(self, targets: Collection[str]) -> int:
        """Does nothing while other processes are running: they may have other targets."""
        alone = select(func.count()).select_from(processes).scalar_subquery() <= 1
        others = (notices.c.state == WAITING) & notices.c.target.not_in(list(targets)) & alone
        given_up = update(notices).where(others).values(state=GIVEN_UP, why="no such target in the settings")

        def write(connection: Connection) -> int:
            return connection.execute(given_up).rowcount

        try:
            return await self._memory.ask(write)
        except Unavailable as away:
            raise OutboxUnavailable(str(away)) from away

    def unsaved(self) -> int:
        return 0

    def _note(self, delivery: Delivery, **values: object) -> None:
        noted = update(notices).where(notices.c.id == delivery.id).values(tries=delivery.tries, **values)
        self._memory.enqueue(lambda connection: connection.execute(noted))


def insert(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Insert new deliveries; update payload and due time of those not attempted yet."""
    upsert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(notices)
    fresh = {"payload": upsert.excluded.payload, "due": upsert.excluded.due}
    untried = (notices.c.state == WAITING) & (notices.c.tries == 0)
    written = upsert.on_conflict_do_update(index_elements=["id"], set_=fresh, where=untried)
    connection.execute(written, [_row(delivery) for delivery in deliveries])


def _row(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.id,
        "event": delivery.event,
        "target": delivery.target,
        "payload": dict(delivery.payload),
        "call": delivery.payload["data"].get("call"),
        "created": _moment(delivery.created),
        "tries": delivery.tries,
        "due": _moment(delivery.due),
        "state": WAITING,
    }


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        row.id, row.event, row.target, row.payload, row.created.timestamp(), row.due.timestamp(), row.tries
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
