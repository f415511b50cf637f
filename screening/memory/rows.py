"""Writes call records (`CallRecord.as_dict`) into the tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from json import JSONEncoder
from typing import Any, NamedTuple

from sqlalchemy import JSON, Connection, Dialect, Table
from sqlalchemy.exc import DBAPIError

from screening.memory.schema import GOING_ON, OVER, calls, lines, voicemails

Row = tuple[Any, ...]
_BEGUN_COLUMNS = ("id", "state", "process", "began", "caller", "caller_name", "dialed")
_LINE_COLUMNS = ("call", "n", "speaker", "said", "at_s")
_VOICEMAIL_COLUMNS = ("call", "file", "seconds", "transcript", "left_at", "message")
_CALL_COLUMNS = ("began", "answered", "ended", "caller", "caller_name", "dialed")
_DECISION_COLUMNS = ("plan", "decision", "why", "trigger", "ended_by")
"""Fields with the same names in a call record and, adjacent, in its row."""
_UNCHANGED = ("id", "process", "began", "caller", "dialed")
"""Columns unchanged since the call began; not updating them spares rewriting their indexes."""
BATCH_SIZE = 50
"""Rows built and written without a pause, which bounds how long the GIL keeps calls waiting."""
MAX_TOKENS = 2**31 - 1
"""Maximum of PostgreSQL's INTEGER; larger token counts are capped."""
_json = JSONEncoder(separators=(",", ":")).encode


class Began(NamedTuple):
    """A call came in."""

    call: str
    at: datetime
    caller: str | None
    name: str | None
    dialed: str


class Finished(NamedTuple):
    """A call ended; its record."""

    record: Callable[[], Mapping[str, Any]]
    """The record, as `as_dict` gives it."""
    json: Callable[[], str]
    """The record as JSON, without the transcript."""


def write(
    connection: Connection,
    begun: Sequence[Began],
    over: Sequence[Finished],
    process: str,
    *,
    transcripts: bool,
) -> None:
    """Write calls in one transaction. Rewriting what is already stored is harmless."""
    finished_records = [(each, each.record()) for each in over]
    finished = {record["call"]: (each, record) for each, record in finished_records}
    began = [each for each in begun if each.call not in finished]
    add_begun, add_finished, add_lines, add_voicemail = _inserts(connection.dialect)
    add_begun.execute(connection, (_begun_row(each, process, add_begun) for each in began))
    add_finished.execute(
        connection, (_finished_row(*each, process, add_finished) for each in finished.values())
    )
    records = [record for _, record in finished.values()]
    if transcripts:
        spoken = [record for record in records if record.get("transcript")]
        add_lines.execute(
            connection, (add_lines.convert(row) for record in spoken for row in _line_rows(record))
        )
    left = [record for record in records if record.get("voicemail") or record.get("message")]
    add_voicemail.execute(connection, (add_voicemail.convert(_voicemail_row(record)) for record in left))


class _Insert:
    """A precompiled statement: compiling it and SQLAlchemy's row processing take longer than executing it."""

    __slots__ = ("_processors", "_sql")

    def __init__(self, statement: Any, table: Table, names: Sequence[str], dialect: Dialect) -> None:
        """`names`: the columns of the rows, in table order. JSON columns are passed as text."""
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        assert compiled.positiontup == list(names), "rows are in the order of the table"
        self._sql = str(compiled)
        self._processors = [
            None if isinstance(table.c[name].type, JSON) else _processor(table, name, dialect)
            for name in names
        ]

    def convert(self, row: Row) -> Row:
        """Convert a row's times and text to what the database accepts."""
        pairs = zip(row, self._processors, strict=True)
        return tuple([value if process is None else process(value) for value, process in pairs])

    def execute(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Write rows that need no conversion; the iterable is consumed in batches.

        Calls the driver directly: SQLAlchemy takes three times as long to insert one row.
        """
        left = iter(rows)
        if not (batch := list(islice(left, BATCH_SIZE))):
            return
        cursor, driver = connection.connection.cursor(), connection.dialect.loaded_dbapi
        try:
            while batch:
                cursor.executemany(self._sql, batch)
                batch = list(islice(left, BATCH_SIZE))
        except driver.Error as error:
            if gone := connection.dialect.is_disconnect(error, connection.connection, cursor):
                connection.invalidate(error)  # no rollback on a lost connection
            raise DBAPIError.instance(
                self._sql, None, error, driver.Error, connection_invalidated=gone
            ) from error
        cursor.close()


def _processor(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    kind: Any = table.c[name].type
    found: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


@lru_cache
def _inserts(dialect: Dialect) -> tuple[_Insert, _Insert, _Insert, _Insert]:
    """Statements that insert a call that begins, one that ended, transcript lines and voicemails."""
    insert: Any
    if dialect.name == "postgresql":  # import only the dialect in use
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    positional: Any = type(dialect)
    written = positional(paramstyle="format" if dialect.name == "postgresql" else "qmark")
    upsert = insert(calls)
    values = {column.name: column for column in upsert.excluded if column.name not in _UNCHANGED}
    add_finished = upsert.on_conflict_do_update(index_elements=["id"], set_=values)
    return (
        _Insert(insert(calls).on_conflict_do_nothing(), calls, _BEGUN_COLUMNS, written),
        _Insert(add_finished, calls, calls.columns.keys(), written),
        _Insert(insert(lines).on_conflict_do_nothing(), lines, _LINE_COLUMNS, written),
        _Insert(insert(voicemails).on_conflict_do_nothing(), voicemails, _VOICEMAIL_COLUMNS, written),
    )


def _begun_row(each: Began, process: str, add_begun: _Insert) -> Row:
    at = each.at.astimezone(UTC).isoformat("T", "milliseconds")
    row = (each.call, GOING_ON, process, at, each.caller, each.name, each.dialed)
    return row if f"{each.caller}{each.name}{each.dialed}".isprintable() else add_begun.convert(row)


def _finished_row(finished: Finished, record: Mapping[str, Any], process: str, add_finished: _Insert) -> Row:
    found, json = record.get, finished.json()
    outcome, cost = found("outcome") or {}, found("cost") or {}
    tokens: int | None = cost.get("tokens")
    row = (
        record["call"],
        OVER,
        process,
        *map(found, _CALL_COLUMNS),
        outcome.get("result"),
        outcome.get("reason"),
        *map(found, _DECISION_COLUMNS),
        path := _absolute(found("recording")),
        found("recording_s"),
        cost.get("money"),
        cost.get("minutes"),
        None if tokens is None else min(tokens, MAX_TOKENS),
        _escape_surrogates(json),
    )
    return row if path is None and _needs_no_conversion(json, record) else add_finished.convert(row)


def _needs_no_conversion(json: str, record: Mapping[str, Any]) -> bool:
    """Whether the row needs no conversion: times in UTC and no unusual text, as in nearly all records."""
    times = f"{record['began']}{record.get('ended')}"
    return json.isascii() and "\\" not in json and times.count("+00:00") == 2


def _escape_surrogates(text: str) -> str:
    """JSON that both databases accept: lone surrogates are escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _line_rows(record: Mapping[str, Any]) -> list[Row]:
    call, said = record["call"], record["transcript"]
    return [(call, n, line["speaker"], line["text"], line["at_s"]) for n, line in enumerate(said)]


def _voicemail_row(record: Mapping[str, Any]) -> Row:
    voicemail, message = record.get("voicemail"), record.get("message")
    return (
        record["call"],
        _absolute(voicemail),
        record.get("voicemail_s"),
        None if voicemail else record["message"]["text"],
        record.get("ended") or record["began"],
        _json(message) if message else None,
    )


def _absolute(text: str | None) -> str | None:
    """An absolute path: readers may have another working directory."""
    return os.path.abspath(text) if text else None
