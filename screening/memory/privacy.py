"""Exports or deletes everything stored about one caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from screening.memory import history, lists, number_matching, sip_trace, wal_cleanup
from screening.memory.files import delete_calls, files_of
from screening.memory.number_matching import Alike, calls_of, nobody
from screening.memory.schema import GOING_ON, calls, notices

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Deleted:
    """Counts of what was deleted."""

    calls: int
    files: int
    entries: int
    going_on: int
    """Calls still in progress, which were not deleted: repeat the deletion when they are over."""


@dataclass(frozen=True, slots=True)
class Export:
    """Everything stored about a caller."""

    told: dict[str, Any]
    """Plain values, ready for JSON."""
    files: list[Path]
    """Existing voicemails and recordings."""


def delete_caller(
    connection: Connection, number: str, *, alike: Alike = nobody, from_lists: bool = False
) -> Deleted:
    """Delete the calls of an E.164 number, and of its other spellings, with everything that belongs to them.

    The user's own list entries about the number stay unless `from_lists`.
    """
    count = files = 0
    his = calls_of(connection, number, alike)
    over = select(calls.c.id).where(his, calls.c.state != GOING_ON).limit(_AT_ONCE)
    while names := connection.execute(over).scalars().all():
        files += delete_calls(connection, names)
        count += len(names)
    connection.execute(delete(notices).where(_of_no_call(connection, number, alike)))
    wal_cleanup.left(connection)
    left = select(calls.c.id).where(his)
    going_on = len(connection.execute(left).all())
    taken = lists.remove_number(connection, number) if from_lists else 0
    return Deleted(count, files, taken, going_on)


def export_caller(connection: Connection, number: str, *, alike: Alike = nobody) -> Export:
    """Everything stored about a number: calls with transcripts and SIP traces, list entries and notices."""
    his = calls_of(connection, number, alike)
    names = connection.execute(select(calls.c.id).where(his).order_by(calls.c.began))
    found = [call for name in names.scalars().all() if (call := history.call(connection, name)) is not None]
    own = [call["id"] for call in found]
    told = [
        {"event": row.event, "target": row.target, "created": row.created, "payload": row.payload}
        for of in (
            _of_no_call(connection, number, alike),
            *(notices.c.call.in_(own[each : each + _AT_ONCE]) for each in range(0, len(own), _AT_ONCE)),
        )
        for row in connection.execute(select(notices).where(of).order_by(notices.c.created))
    ]
    listed = lists.listed(connection, number=number, limit=10_000)
    files = [
        path
        for each in range(0, len(own), _AT_ONCE)
        for path in files_of(connection, own[each : each + _AT_ONCE])
        if path.is_file()
    ]
    for call in found:
        if sip := sip_trace.of(connection, call["id"]):
            call["sip"] = sip
    known = {"number": number, "calls": found, "entries": listed, "notices": told}
    return Export(history.plain(known), files)


def _of_no_call(connection: Connection, number: str, alike: Alike) -> ColumnElement[bool]:
    """SQL condition: notices that name the caller but belong to no call, such as budget warnings."""
    data = notices.c.payload["data"]
    return notices.c.call.is_(None) & number_matching.his(
        connection, number, alike, data["caller"].as_string(), data["dialed"].as_string()
    )
