"""Exports or deletes everything stored about one caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from screening.memory import history, lists, number_matching, sip_trace, wal_cleanup
from screening.memory.files import delete_calls, files_of
from screening.memory.number_matching import SameCaller, calls_from, exact_only
from screening.memory.schema import GOING_ON, calls, notices

_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """Counts of what was deleted."""

    calls: int
    files: int
    entries: int
    going_on: int
    """Calls still in progress, which were not deleted: repeat the deletion when they are over."""


@dataclass(frozen=True, slots=True)
class Export:
    """Everything stored about a caller."""

    data: dict[str, Any]
    """Plain values, ready for JSON."""
    files: list[Path]
    """Existing voicemails and recordings."""


def delete_caller(
    connection: Connection, number: str, *, same_caller: SameCaller = exact_only, from_lists: bool = False
) -> DeletedCounts:
    """Delete the calls of an E.164 number, and of its other spellings, with everything that belongs to them.

    The user's own list entries about the number stay unless `from_lists`.
    """
    count = files = 0
    from_caller = calls_from(connection, number, same_caller)
    over = select(calls.c.id).where(from_caller, calls.c.state != GOING_ON).limit(_BATCH_SIZE)
    while names := connection.execute(over).scalars().all():
        files += delete_calls(connection, names)
        count += len(names)
    connection.execute(delete(notices).where(_notices_without_call(connection, number, same_caller)))
    wal_cleanup.mark(connection)
    left = select(calls.c.id).where(from_caller)
    going_on = len(connection.execute(left).all())
    taken = lists.remove_number(connection, number) if from_lists else 0
    return DeletedCounts(count, files, taken, going_on)


def export_caller(connection: Connection, number: str, *, same_caller: SameCaller = exact_only) -> Export:
    """Everything stored about a number: calls with transcripts and SIP traces, list entries and notices."""
    from_caller = calls_from(connection, number, same_caller)
    names = connection.execute(select(calls.c.id).where(from_caller).order_by(calls.c.began))
    found = [
        call for name in names.scalars().all() if (call := history.get_call(connection, name)) is not None
    ]
    own = [call["id"] for call in found]
    sent = [
        {"event": row.event, "target": row.target, "created": row.created, "payload": row.payload}
        for of in (
            _notices_without_call(connection, number, same_caller),
            *(notices.c.call.in_(own[each : each + _BATCH_SIZE]) for each in range(0, len(own), _BATCH_SIZE)),
        )
        for row in connection.execute(select(notices).where(of).order_by(notices.c.created))
    ]
    listed = lists.find_entries(connection, number=number, limit=10_000)
    files = [
        path
        for each in range(0, len(own), _BATCH_SIZE)
        for path in files_of(connection, own[each : each + _BATCH_SIZE])
        if path.is_file()
    ]
    for call in found:
        if sip := sip_trace.load(connection, call["id"]):
            call["sip"] = sip
    known = {"number": number, "calls": found, "entries": listed, "notices": sent}
    return Export(history.json_ready(known), files)


def _notices_without_call(
    connection: Connection, number: str, same_caller: SameCaller
) -> ColumnElement[bool]:
    """SQL condition: notices that name the caller but belong to no call, such as budget warnings."""
    data = notices.c.payload["data"]
    return notices.c.call.is_(None) & number_matching.from_caller(
        connection, number, same_caller, data["caller"].as_string(), data["dialed"].as_string()
    )
