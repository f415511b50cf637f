"""From a call record, as `as_dict` gives it, to the rows of the tables."""

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
_BEGUN = ("id", "state", "process", "began", "caller", "caller_name", "dialed")
_SAID = ("call", "n", "speaker", "said", "at_s")
_LEFT = ("call", "file", "seconds", "transcript", "left_at", "message")
_WHEN_AND_WHO = ("began", "answered", "ended", "caller", "caller_name", "dialed")
_JUDGED = ("plan", "decision", "why", "trigger", "ended_by")
"""Of a call, under the same names in its record, and one beside the other in its row."""
_AT_THE_START = ("id", "process", "began", "caller", "dialed")
"""What a row has since its call began: the indexes of it need not be written again."""
AT_ONCE = 50
"""Rows that are made and written without a pause: no call waits for more of them to be made."""
MAX_TOKENS = 2**31 - 1
"""The largest number that a column of PostgreSQL takes; what a vendor counts beyond it is none."""
_json = JSONEncoder(separators=(",", ":")).encode


class Began(NamedTuple):
    """A call that has come in."""

    call: str
    at: datetime
    caller: str | None
    name: str | None
    dialed: str


class Finished(NamedTuple):
    """A call that is over, with its record."""

    record: Callable[[], Mapping[str, Any]]
    """Gives it as `as_dict` does."""
    json: Callable[[], str]
    """Gives it as JSON, but the transcript."""


def write(
    connection: Connection,
    begun: Sequence[Began],
    over: Sequence[Finished],
    process: str,
    *,
    transcripts: bool,
) -> None:
    """Write them within one transaction; what is written already may be written again."""
    told = [(each, each.record()) for each in over]
    finished = {record["call"]: (each, record) for each, record in told}
    began = [each for each in begun if each.call not in finished]
    begin, finish, say, leave = _inserts(connection.dialect)
    begin.execute(connection, (_begun(each, process, begin) for each in began))
    finish.execute(connection, (_over(*each, process, finish) for each in finished.values()))
    records = [record for _, record in finished.values()]
    if transcripts:
        spoken = [record for record in records if record.get("transcript")]
        say.execute(connection, (say.fit(row) for record in spoken for row in _said(record)))
    left = [record for record in records if record.get("voicemail") or record.get("message")]
    leave.execute(connection, (leave.fit(_left(record)) for record in left))


class _Insert:
    """One statement, made once: that, and a row's way through SQLAlchemy, takes longer than to execute it."""

    __slots__ = ("_processes", "_sql")

    def __init__(self, statement: Any, table: Table, names: Sequence[str], dialect: Dialect) -> None:
        """`names`: the columns that rows have, as they stand in the table; JSON comes to them as text."""
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        assert compiled.positiontup == list(names), "rows are in the order of the table"
        self._sql = str(compiled)
        self._processes = [
            None if isinstance(table.c[name].type, JSON) else _processor(table, name, dialect)
            for name in names
        ]

    def fit(self, row: Row) -> Row:
        """The row as the database takes it, whatever stands in its times and its words."""
        pairs = zip(row, self._processes, strict=True)
        return tuple([value if process is None else process(value) for value, process in pairs])

    def execute(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Write rows that the database takes; they are made here, too.

        Straight to the driver: SQLAlchemy's own way takes three times as long as to insert one row.
        """
        left = iter(rows)
        if not (part := list(islice(left, AT_ONCE))):
            return
        cursor, driver = connection.connection.cursor(), connection.dialect.loaded_dbapi
        try:
            while part:
                cursor.executemany(self._sql, part)
                part = list(islice(left, AT_ONCE))
        except driver.Error as error:
            if gone := connection.dialect.is_disconnect(error, connection.connection, cursor):
                connection.invalidate(error)  # there is nothing to be rolled back
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
    """For a call that begins, one that is over, what was said, and a message."""
    insert: Any
    if dialect.name == "postgresql":  # the other of the two is not imported
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    positional: Any = type(dialect)
    written = positional(paramstyle="format" if dialect.name == "postgresql" else "qmark")
    upsert = insert(calls)
    values = {column.name: column for column in upsert.excluded if column.name not in _AT_THE_START}
    finish = upsert.on_conflict_do_update(index_elements=["id"], set_=values)
    return (
        _Insert(insert(calls).on_conflict_do_nothing(), calls, _BEGUN, written),
        _Insert(finish, calls, calls.columns.keys(), written),
        _Insert(insert(lines).on_conflict_do_nothing(), lines, _SAID, written),
        _Insert(insert(voicemails).on_conflict_do_nothing(), voicemails, _LEFT, written),
    )


def _begun(each: Began, process: str, begin: _Insert) -> Row:
    at = each.at.astimezone(UTC).isoformat("T", "milliseconds")
    row = (each.call, GOING_ON, process, at, each.caller, each.name, each.dialed)
    return row if f"{each.caller}{each.name}{each.dialed}".isprintable() else begin.fit(row)


def _over(finished: Finished, record: Mapping[str, Any], process: str, finish: _Insert) -> Row:
    found, json = record.get, finished.json()
    outcome, cost = found("outcome") or {}, found("cost") or {}
    tokens: int | None = cost.get("tokens")
    row = (
        record["call"],
        OVER,
        process,
        *map(found, _WHEN_AND_WHO),
        outcome.get("result"),
        outcome.get("reason"),
        *map(found, _JUDGED),
        path := _path(found("recording")),
        found("recording_s"),
        cost.get("money"),
        cost.get("minutes"),
        None if tokens is None else min(tokens, MAX_TOKENS),
        _sound(json),
    )
    return row if path is None and _is_plain(json, record) else finish.fit(row)


def _is_plain(json: str, record: Mapping[str, Any]) -> bool:
    """Whether its times are in UTC, and no text in it is odd; so are nearly all, and one look tells."""
    times = f"{record['began']}{record.get('ended')}"
    return json.isascii() and "\\" not in json and times.count("+00:00") == 2


def _sound(text: str) -> str:
    """JSON that both databases take: half of a pair stands in it as an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _said(record: Mapping[str, Any]) -> list[Row]:
    call, said = record["call"], record["transcript"]
    return [(call, n, line["speaker"], line["text"], line["at_s"]) for n, line in enumerate(said)]


def _left(record: Mapping[str, Any]) -> Row:
    voicemail, message = record.get("voicemail"), record.get("message")
    return (
        record["call"],
        _path(voicemail),
        record.get("voicemail_s"),
        None if voicemail else record["message"]["text"],
        record.get("ended") or record["began"],
        _json(message) if message else None,
    )


def _path(text: str | None) -> str | None:
    """Of a file from everywhere: others ask for it who work in another folder."""
    return os.path.abspath(text) if text else None
