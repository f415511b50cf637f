"""Executes writes on the memory's one connection, which is reopened after a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    SQLAlchemyError,
)

from screening.memory import rows, wal_cleanup
from screening.memory.database import Database
from screening.memory.errors import Away, Unusable, said
from screening.memory.rows import Began, Finished

log = structlog.get_logger("screendoor")

BEYOND_A_LIMIT = "54"
"""SQLSTATE class 54, program_limit_exceeded."""

T = TypeVar("T")
Work = Callable[[Connection], object]
Told = Began | Finished | Work


class Writer:
    """The connection and its transactions; for one thread at a time."""

    def __init__(self, database: Database, process: str, transcripts: bool) -> None:
        self._database, self._process, self._transcripts = database, process, transcripts
        self._connection: Connection | None = None

    def open(self) -> Connection:
        """Open the connection if it is closed. Raises `Unusable` or `Away`."""
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def write(self, told: Sequence[Told]) -> int:
        """Write everything in one transaction; returns how many entries had to be dropped.

        Raises `Away`, and then nothing was written. Entries that the database rejects are dropped one by one.
        """
        try:
            self.do(lambda connection: self._all(connection, told))
        except Away:
            raise
        except Exception as error:
            if len(told) > 1:
                return sum(self.write([each]) for each in told)
            log.error("not kept", call=_name(told[0]), problem=said(error))
            return 1
        return 0

    def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own. Raises `Away`, and what `work` raises."""
        with self._transaction() as connection:
            return work(connection)

    def _all(self, connection: Connection, told: Sequence[Told]) -> None:
        begun, over = list[Began](), list[Finished]()
        works = list[Work]()
        for each in told:
            if isinstance(each, Began):
                begun.append(each)
            elif isinstance(each, Finished):
                over.append(each)
            else:
                works.append(each)
        if begun or over:
            rows.write(connection, begun, over, self._process, transcripts=self._transcripts)
        for work in works:
            work(connection)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if (why := self._database.gone()) is not None and self._connection is not None:
            log.warning("database opened anew", why=why)
            self.close()
        try:
            connection = self.open()
        except Unusable as unusable:
            raise Away(str(unusable)) from unusable
        try:
            with connection.begin():
                yield connection
            wal_cleanup.wipe(connection, 0.0)
        except DBAPIError as error:
            if _is_of_the_values(error):
                raise
            self.close()
            raise Away(said(error)) from error


def _is_of_the_values(error: DBAPIError) -> bool:
    """Whether the values themselves were rejected, so that retrying is pointless."""
    if isinstance(error, IntegrityError | DataError):
        return True
    if error.connection_invalidated:
        return False
    if (said_by_server := getattr(error.orig, "sqlstate", None)) is not None:
        # Class 54 is a server limit, as of an index row; others mean a missing table or privilege.
        return str(said_by_server).startswith(BEYOND_A_LIMIT)
    sqlite = type(error.orig).__module__ == "sqlite3"
    return isinstance(error, ProgrammingError) or (sqlite and isinstance(error, InterfaceError))


def _name(told: Told) -> str | None:
    match told:
        case Began(call):
            return call
        case Finished():
            return str(told.record().get("call"))
    return None
