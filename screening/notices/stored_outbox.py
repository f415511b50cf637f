"""Letters that wait in the memory's database, through restarts.

What is put there is written in order with the records of the calls, and waits with them where the database is
away. A letter that arrives right before we end, and is not noted by then, is told again under the same id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from screening.memory.errors import Away
from screening.memory.schema import notices
from screening.memory.store import Memory
from screening.notices.letter import Letter, Unreachable, Waiting
from screening.notices.schedule import LONGEST_S

WAITING, DONE, GIVEN_UP = "waiting", "done", "given up"


MOST_PENDING = 10_000
"""Changes of which it is not known yet whether they are written; the memory keeps no more of them, either."""
Change = Callable[[Connection], object]


class StoredOutbox:
    """Implements `Outbox`.

    A change is handed to the memory, and also made before anything is read, lest what is read be out of date:
    each of them may be made twice.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pending: deque[Change] = deque(maxlen=MOST_PENDING)

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        self._change(lambda connection: insert(connection, letters))
        return ()

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        mine = (notices.c.target == target) & (notices.c.state == WAITING)
        due = or_(notices.c.due <= _moment(now), notices.c.due > _moment(now + LONGEST_S))

        def read(connection: Connection) -> Waiting:
            _make(changes, connection)
            chosen = select(notices).where(mine & due).order_by(notices.c.due, notices.c.id).limit(most)
            found = [_letter(row) for row in connection.execute(chosen)]
            first = connection.scalar(select(func.min(notices.c.due)).where(mine)) if not found else None
            return Waiting(found, first.timestamp() if first else None)

        changes = list(self._pending)
        try:
            found = await self._memory.ask(read)
        except Away as away:
            raise Unreachable(str(away)) from away
        for change in changes:
            with suppress(ValueError):  # another target's reading made it, too
                self._pending.remove(change)
        return found

    def done(self, letter: Letter) -> None:
        self._note(letter, state=DONE, why=None)

    def later(self, letter: Letter, due: float, why: str) -> None:
        self._note(letter, due=_moment(due), why=why)

    def given_up(self, letter: Letter, why: str) -> None:
        self._note(letter, state=GIVEN_UP, why=why)

    async def abandon(self, targets: Collection[str]) -> int:
        others = (notices.c.state == WAITING) & notices.c.target.not_in(list(targets))
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
        self._change(lambda connection: connection.execute(noted))

    def _change(self, change: Change) -> None:
        self._pending.append(change)
        self._memory.later(change)


def insert(connection: Connection, letters: Sequence[Letter]) -> None:
    """Write down letters that are new."""
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(kind.insert(notices).on_conflict_do_nothing(), [_row(letter) for letter in letters])


def _make(changes: Sequence[Change], connection: Connection) -> None:
    """Make changes; one that no database takes costs no other, and is said by the memory."""
    for change in changes:
        with suppress(IntegrityError, DataError), connection.begin_nested():
            change(connection)


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
