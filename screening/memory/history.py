"""Queries of stored calls and voicemails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, delete, literal, select, tuple_, update

from screening.callers.recent import PastCall
from screening.memory import wal_cleanup
from screening.memory.files import delete_file, voicemail_files
from screening.memory.number_matching import SameCaller, calls_from, exact_only
from screening.memory.schema import calls, lines, voicemails

Row = dict[str, Any]
Cursor = tuple[datetime, str]
"""Keyset cursor: time and call id of the last row seen. The next page starts after it."""
_SUMMARY_COLUMNS = [column for column in calls.c if column.name not in ("record", "process")]


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Filter for calls; None matches everything."""

    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None
    dialed: str | None = None
    state: str | None = None
    result: str | None = None
    decision: str | None = None
    same_caller: SameCaller = exact_only
    """Other spellings that match `caller` besides the exact text."""


def find_calls(
    connection: Connection, criteria: CallFilter, *, after: Cursor | None = None, limit: int = 50
) -> Sequence[Row]:
    """Matching calls without their records, newest first."""
    query = select(*_SUMMARY_COLUMNS, voicemails.c.call.is_not(None).label("voicemail")).outerjoin(
        voicemails, voicemails.c.call == calls.c.id
    )
    for name in ("dialed", "state", "result", "decision"):
        if (wanted := getattr(criteria, name)) is not None:
            query = query.where(calls.c[name] == wanted)
    if criteria.caller is not None:
        query = query.where(calls_from(connection, criteria.caller, criteria.same_caller))
    if criteria.since is not None:
        query = query.where(calls.c.began >= criteria.since)
    if criteria.until is not None:
        query = query.where(calls.c.began < criteria.until)
    return _page(connection, query, calls.c.began, calls.c.id, after, limit)


def get_call(connection: Connection, name: str) -> Row | None:
    """One call with its record, transcript and voicemail; None if there is no such call."""
    row = connection.execute(select(calls).where(calls.c.id == name)).mappings().first()
    if row is None:
        return None
    said = select(lines.c.speaker, lines.c.said, lines.c.at_s).where(lines.c.call == name)
    transcript = [
        {"speaker": line.speaker, "text": line.said, "at_s": line.at_s}
        for line in connection.execute(said.order_by(lines.c.n))
    ]
    return {**row, "transcript": transcript, "voicemail": get_voicemail(connection, name)}


def recent_callers(
    connection: Connection, since: datetime, until: datetime, limit: int, process: str
) -> Sequence[PastCall]:
    """The callers since `since`, oldest first, without withheld numbers.

    Without those of this `process` since `until`, its start; others may be later than that, if the clock was
    behind at the start. Beyond the limit the newest are kept.
    """
    query = select(calls.c.id, calls.c.caller, calls.c.dialed, calls.c.began)
    query = query.where(calls.c.began >= since, calls.c.caller.is_not(None))
    query = query.where((calls.c.began < until) | calls.c.process.is_distinct_from(process))
    rows = connection.execute(query.order_by(calls.c.began.desc()).limit(limit)).all()
    return [PastCall(*row) for row in reversed(rows)]


def find_voicemails(
    connection: Connection, *, heard: bool | None = None, after: Cursor | None = None, limit: int = 50
) -> Sequence[Row]:
    """Voicemails with their callers, newest first.

    `heard` filters by whether they were listened to; None: all.
    """
    query = _voicemails()
    if heard is not None:
        query = query.where(voicemails.c.heard_at.is_not(None) if heard else voicemails.c.heard_at.is_(None))
    return _page(connection, query, voicemails.c.left_at, voicemails.c.call, after, limit)


def get_voicemail(connection: Connection, name: str) -> Row | None:
    """The voicemail of a call; None if it has none."""
    row = connection.execute(_voicemails().where(voicemails.c.call == name)).mappings().first()
    return dict(row) if row is not None else None


def set_heard(connection: Connection, name: str, at: datetime | None) -> bool:
    """Mark a voicemail as heard at a time, or as new (None); returns whether it exists."""
    query = update(voicemails).where(voicemails.c.call == name).values(heard_at=at)
    return bool(connection.execute(query).rowcount)


def set_transcript(connection: Connection, name: str, text: str) -> bool:
    """Store the transcript of a voicemail; returns whether it exists."""
    query = update(voicemails).where(voicemails.c.call == name).values(transcript=text)
    return bool(connection.execute(query).rowcount)


def delete_voicemail(connection: Connection, name: str) -> bool:
    """Delete a voicemail and its files; returns whether it existed."""
    if (row := get_voicemail(connection, name)) is None:
        return False
    if row["file"]:
        for file in voicemail_files(Path(row["file"])):
            delete_file(file)
    wal_cleanup.mark(connection)
    connection.execute(delete(voicemails).where(voicemails.c.call == name))
    return True


def json_ready(value: Any) -> Any:
    """Convert datetimes to ISO 8601 text, recursively, for JSON."""
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case dict():
            return {key: json_ready(each) for key, each in value.items()}
        case list() | tuple():
            return [json_ready(each) for each in value]
        case _:
            return value


def _voicemails() -> Select[Any]:
    of = (calls.c.caller, calls.c.caller_name, calls.c.dialed)
    return select(voicemails, *of).outerjoin(calls, calls.c.id == voicemails.c.call)


def _page(
    connection: Connection, query: Select[Any], time: Any, name: Any, after: Cursor | None, limit: int
) -> Sequence[Row]:
    if after is not None:
        query = query.where(tuple_(time, name) < tuple_(literal(after[0], time.type), after[1]))
    rows = connection.execute(query.order_by(time.desc(), name.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
