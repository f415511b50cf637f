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
from screening.memory.errors import Unavailable, Unusable, error_text
from screening.memory.rows import Began, Finished

log = structlog.get_logger("screendoor")

PROGRAM_LIMIT_EXCEEDED = "54"
"""SQLSTATE class 54, program_limit_exceeded."""

T = TypeVar("T")
Work = Callable[[Connection], object]
Entry = Began | Finished | Work


class Writer:
    """The connection and its transactions; for one thread at a time."""

    def __init__(self, database: Database, process: str, transcripts: bool) -> None:
        self._database, self._process, self._transcripts = database, process, transcripts
        self._connection: Connection | None = None

    def open(self) -> Connection:
        """Open the connection if it is closed. Raises `Unusable` or `Unavailable`."""
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def write(self, entries: Sequence[Entry]) -> int:
        """Write everything in one transaction; returns how many entries had to be dropped.

        Raises `Unavailable`, and then nothing was written. Entries that the database rejects are dropped one
        by one.
        """
        try:
            self.do(lambda connection: self._write_all(connection, entries))
        except Unavailable:
            raise
        except Exception as error:
            if len(entries) > 1:
                return sum(self.write([each]) for each in entries)
            log.error("not kept", call=_call_id(entries[0]), problem=error_text(error))
            return 1
        return 0

    def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own. Raises `Unavailable`, and what `work` raises."""
        with self._transaction() as connection:
            return work(connection)

    def _write_all(self, connection: Connection, entries: Sequence[Entry]) -> None:
        begun, over = list[Began](), list[Finished]()
        works = list[Work]()
        for each in entries:
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
        if (why := self._database.file_lost()) is not None and self._connection is not None:
            log.warning("database opened anew", why=why)
            self.close()
        try:
            connection = self.open()
        except Unusable as unusable:
            raise Unavailable(str(unusable)) from unusable
        try:
            with connection.begin():
                yield connection
            wal_cleanup.truncate_if_marked(connection, 0.0)
        except DBAPIError as error:
            if _values_rejected(error):
                raise
            self.close()
            raise Unavailable(error_text(error)) from error


def _values_rejected(error: DBAPIError) -> bool:
    """Whether the values themselves were rejected, so that retrying is pointless."""
    if isinstance(error, IntegrityError | DataError):
        return True
    if error.connection_invalidated:
        return False
    if (sqlstate := getattr(error.orig, "sqlstate", None)) is not None:
        # Class 54 is a server limit, as of an index row; others mean a missing table or privilege.
        return str(sqlstate).startswith(PROGRAM_LIMIT_EXCEEDED)
    sqlite = type(error.orig).__module__ == "sqlite3"
    return isinstance(error, ProgrammingError) or (sqlite and isinstance(error, InterfaceError))


def _call_id(entry: Entry) -> str | None:
    match entry:
        case Began(call):
            return call
        case Finished():
            return str(entry.record().get("call"))
    return None
