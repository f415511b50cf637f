"""From a call record, as `as_dict` gives it, to the rows of the tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from json import JSONEncoder
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from screening.memory.schema import GOING_ON, OVER, calls, lines, voicemails

Row = dict[str, Any]
_ALIKE = (
    "began",
    "answered",
    "ended",
    "caller",
    "caller_name",
    "dialed",
    "plan",
    "decision",
    "why",
    "trigger",
    "ended_by",
    "recording_s",
)  # fmt: skip
"""Of a call, under the same name in its record."""
AT_ONCE = 50
"""Rows that are made and written without a pause: no call waits for more of them to be made."""
MOST_TOKENS = 2**31 - 1
"""The largest number that a column of PostgreSQL takes; what a vendor counts beyond it is none."""
_json = JSONEncoder(separators=(",", ":")).encode
_COSTS = {"cost_money": "money", "cost_minutes": "minutes", "tokens": "tokens"}


@dataclass(frozen=True, slots=True)
class Began:
    """A call that has come in."""

    call: str
    at: datetime
    caller: str | None
    name: str | None
    dialed: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A call that is over, with its record."""

    record: Callable[[], Mapping[str, Any]]
    """Gives it as `as_dict` does."""
    json: Callable[[], str]
    """Gives it as JSON, but the transcript."""


def write(
    connection: Connection, calls_told: Sequence[Began | Finished], process: str, *, transcripts: bool
) -> None:
    """Write them within one transaction; what is written already may be written again."""
    told = [(each, each.record()) for each in calls_told if isinstance(each, Finished)]
    finished = {record["call"]: (each, record) for each, record in told}
    began = (
        _begun(each, process) for each in calls_told if isinstance(each, Began) and each.call not in finished
    )
    inserts = _inserts(connection.dialect)
    inserts.begin.execute(connection, began)
    inserts.finish.execute(connection, (_over(*each, process) for each in finished.values()))
    records = [record for _, record in finished.values()]
    if transcripts:
        inserts.say.execute(connection, (row for record in records for row in _said(record)))
    left = (_left(each) for each in records if each.get("voicemail") or each.get("message"))
    inserts.leave.execute(connection, left)


class _Insert:
    """One statement, made once: that, and a row's way through SQLAlchemy, takes longer than to execute it."""

    __slots__ = ("_columns", "_sql")

    def __init__(self, statement: Any, table: Table, names: Sequence[str], dialect: Dialect) -> None:
        """`names`: the columns that rows have; JSON comes to them as text."""
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        self._sql = str(compiled)
        self._columns = [
            (name, None if name in _JSON else _processor(table, name, dialect))
            for name in compiled.positiontup
        ]

    def execute(self, connection: Connection, rows: Iterable[Row]) -> None:
        columns, left = self._columns, iter(rows)
        while part := list(islice(left, AT_ONCE)):
            values = [
                tuple([row[name] if process is None else process(row[name]) for name, process in columns])
                for row in part
            ]
            connection.exec_driver_sql(self._sql, values)


def _processor(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    kind: Any = table.c[name].type
    found: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


_BEGUN = ("id", "state", "process", "began", "caller", "caller_name", "dialed")
_JSON = ("record", "message")


@dataclass(frozen=True, slots=True)
class _Inserts:
    begin: _Insert
    finish: _Insert
    say: _Insert
    leave: _Insert


@lru_cache
def _inserts(dialect: Dialect) -> _Inserts:
    insert: Any
    if dialect.name == "postgresql":  # the other of the two is not imported
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    positional: Any = type(dialect)
    written = positional(paramstyle="format" if dialect.name == "postgresql" else "qmark")
    upsert = insert(calls)
    values = {column.name: column for column in upsert.excluded if column.name not in ("id", "process")}
    finish = upsert.on_conflict_do_update(index_elements=["id"], set_=values)
    names = [column.name for column in voicemails.columns if column.name != "heard_at"]
    return _Inserts(
        _Insert(insert(calls).on_conflict_do_nothing(), calls, _BEGUN, written),
        _Insert(finish, calls, calls.columns.keys(), written),
        _Insert(insert(lines).on_conflict_do_nothing(), lines, lines.columns.keys(), written),
        _Insert(insert(voicemails).on_conflict_do_nothing(), voicemails, names, written),
    )


def _begun(each: Began, process: str) -> Row:
    values = (each.call, GOING_ON, process, each.at, each.caller, each.name, each.dialed)
    return dict(zip(_BEGUN, values, strict=True))


def _over(finished: Finished, record: Mapping[str, Any], process: str) -> Row:
    outcome, cost = record.get("outcome") or {}, record.get("cost") or {}
    row: Row = {"id": record["call"], "state": OVER, "process": process}
    for name in _ALIKE:
        row[name] = record.get(name)
    for name, key in _COSTS.items():
        row[name] = cost.get(key)
    if (tokens := row["tokens"]) is not None:
        row["tokens"] = min(tokens, MOST_TOKENS)
    row["recording"] = _path(record.get("recording"))
    row["result"], row["reason"] = outcome.get("result"), outcome.get("reason")
    row["record"] = _sound(finished.json())
    return row


def _sound(text: str) -> str:
    """JSON that both databases take: half of a pair stands in it as an escape."""
    return text if text.isprintable() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _said(record: Mapping[str, Any]) -> list[Row]:
    call, transcript = record["call"], record.get("transcript") or ()
    return [
        {"call": call, "n": n, "speaker": line["speaker"], "said": line["text"], "at_s": line["at_s"]}
        for n, line in enumerate(transcript)
    ]


def _left(record: Mapping[str, Any]) -> Row:
    return {
        "call": record["call"],
        "file": _path(record.get("voicemail")),
        "seconds": record.get("voicemail_s"),
        "transcript": None if record.get("voicemail") else record["message"]["text"],
        "message": _json(record["message"]) if record.get("message") else None,
        "left_at": record.get("ended") or record["began"],
    }


def _path(text: str | None) -> str | None:
    """Of a file from everywhere: others ask for it who work in another folder."""
    return os.path.abspath(text) if text else None
