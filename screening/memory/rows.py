"""From a call record, as `as_dict` gives it, to the rows of the tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

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
MOST_TOKENS = 2**31 - 1
"""The largest number that a column of PostgreSQL takes; what a vendor counts beyond it is none."""
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

    told: Mapping[str, Any] | Callable[[], Mapping[str, Any]]

    @property
    def record(self) -> Mapping[str, Any]:
        """As `as_dict` gives it."""
        return self.told() if callable(self.told) else self.told


def write(
    connection: Connection, calls_told: Sequence[Began | Finished], process: str, *, transcripts: bool
) -> None:
    """Write them within one transaction; what is written already may be written again."""
    records = [each.record for each in calls_told if isinstance(each, Finished)]
    finished = {record["call"]: record for record in records}
    began = [
        _begun(each, process) for each in calls_told if isinstance(each, Began) and each.call not in finished
    ]
    statements = _statements(connection.dialect.name)
    if began:
        connection.execute(statements.begin, began)
    if not finished:
        return
    connection.execute(statements.finish, [_over(record, process) for record in finished.values()])
    said = [row for record in finished.values() for row in _said(record)] if transcripts else []
    if said:
        connection.execute(statements.say, said)
    left = [_left(each) for each in finished.values() if each.get("voicemail") or each.get("message")]
    if left:
        connection.execute(statements.leave, left)


@dataclass(frozen=True, slots=True)
class _Statements:
    begin: Any
    finish: Any
    say: Any
    leave: Any


@lru_cache
def _statements(dialect: str) -> _Statements:
    """Made once: to make them takes longer than to execute them."""
    insert: Any
    if dialect == "postgresql":  # the other of the two is not imported
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    begin, upsert = insert(calls), insert(calls)
    values = {column.name: column for column in upsert.excluded if column.name not in ("id", "process")}
    finish = upsert.on_conflict_do_update(index_elements=["id"], set_=values)
    once = [insert(table).on_conflict_do_nothing() for table in (lines, voicemails)]
    return _Statements(begin.on_conflict_do_nothing(), finish, *once)


def _begun(each: Began, process: str) -> Row:
    return {
        "id": each.call,
        "state": GOING_ON,
        "process": process,
        "began": each.at,
        "caller": each.caller,
        "caller_name": each.name,
        "dialed": each.dialed,
    }


def _over(record: Mapping[str, Any], process: str) -> Row:
    outcome, cost = record.get("outcome") or {}, record.get("cost") or {}
    row: Row = {"id": record["call"], "state": OVER, "process": process}
    row |= {name: record.get(name) for name in _ALIKE}
    row |= {name: cost.get(key) for name, key in _COSTS.items()}
    if (tokens := row["tokens"]) is not None:
        row["tokens"] = min(tokens, MOST_TOKENS)
    row["recording"] = _path(record.get("recording"))
    row["result"], row["reason"] = outcome.get("result"), outcome.get("reason")
    row["record"] = {name: value for name, value in record.items() if name != "transcript"}
    return row


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
        "message": record.get("message"),
        "left_at": record.get("ended") or record["began"],
    }


def _path(text: str | None) -> str | None:
    """Of a file from everywhere: others ask for it who work in another folder."""
    return os.path.abspath(text) if text else None
