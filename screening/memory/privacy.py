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

BATCH_SIZE = 200
"""Calls per transaction or query: deleting that many takes a fraction of a second."""


@dataclass(frozen=True, slots=True)
class Export:
    """Everything stored about a caller."""

    data: dict[str, Any]
    """Plain values, ready for JSON."""
    files: list[Path]
    """Existing voicemails and recordings."""


class CallerDeletion:
    """Deletes the calls of an E.164 number, and of its other spellings, with everything that belongs to them.

    Each `step` runs in a transaction of its own, so that other writers need not wait for a long deletion.
    """

    def __init__(
        self, number: str, *, same_caller: SameCaller = exact_only, from_lists: bool = False
    ) -> None:
        """The user's own list entries about the number stay unless `from_lists`."""
        self._number, self._same_caller, self._from_lists = number, same_caller, from_lists
        self._from_caller: ColumnElement[bool] | None = None
        self.calls = self.files = self.entries = 0
        """How many were deleted."""
        self.going_on = 0
        """Calls still in progress, which were not deleted: repeat the deletion when they are over."""

    def step(self, connection: Connection) -> bool:
        """Delete some of it; returns whether there is more."""
        if self._from_caller is None:  # reads every caller's number: once is enough
            self._from_caller = calls_from(connection, self._number, self._same_caller)
        over = select(calls.c.id).where(self._from_caller, calls.c.state != GOING_ON)
        names = connection.execute(over.limit(BATCH_SIZE)).scalars().all()
        self.files += delete_calls(connection, names)
        self.calls += len(names)
        if len(names) == BATCH_SIZE:
            return True
        without_call = _notices_without_call(connection, self._number, self._same_caller)
        connection.execute(delete(notices).where(without_call))
        wal_cleanup.mark(connection)
        self.going_on = len(connection.execute(select(calls.c.id).where(self._from_caller)).all())
        if self._from_lists:
            self.entries = lists.remove_number(connection, self._number)
        return False


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
            *(notices.c.call.in_(own[each : each + BATCH_SIZE]) for each in range(0, len(own), BATCH_SIZE)),
        )
        for row in connection.execute(select(notices).where(of).order_by(notices.c.created))
    ]
    listed = lists.find_entries(connection, number=number, limit=10_000)
    files = [
        path
        for each in range(0, len(own), BATCH_SIZE)
        for path in files_of(connection, own[each : each + BATCH_SIZE])
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
