"""Notices of interrupted calls: their process died before it could send any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from screening.memory.schema import CUT, calls, notices, voicemails
from screening.notices.stored_outbox import insert
from screening.notices.target import Target, deliveries_for_call

POLL_S = 30.0
"""How often interrupted calls are looked for."""
MAX_AGE = timedelta(days=1)
"""Older interruptions are no longer notified."""
_KNOWN = (
    calls.c.caller,
    calls.c.caller_name,
    calls.c.dialed,
    calls.c.began,
    calls.c.answered,
    calls.c.ended,
    calls.c.recording,
    calls.c.recording_s,
    voicemails.c.file.label("voicemail"),
    voicemails.c.seconds.label("voicemail_s"),
)


def notifier(
    targets: Sequence[Target], now: Callable[[], float], on_added: Callable[[], None]
) -> Callable[[Connection], None]:
    """Make a chore for the memory's thread; it calls `on_added` after adding deliveries."""

    def notify(connection: Connection) -> None:
        since = datetime.fromtimestamp(now(), UTC) - MAX_AGE
        notified = select(notices.c.id).where(notices.c.call == calls.c.id).exists()
        calls_with_voicemail = calls.outerjoin(voicemails, voicemails.c.call == calls.c.id)
        unnotified = select(calls.c.id, calls.c.reason, *_KNOWN).select_from(calls_with_voicemail)
        unnotified = unnotified.where(calls.c.state == CUT, ~notified)
        rows = connection.execute(unnotified.where(calls.c.ended >= since)).mappings().all()
        deliveries = [
            delivery for row in rows for delivery in deliveries_for_call(targets, _record(dict(row)), now())
        ]
        if deliveries:
            insert(connection, deliveries)
            on_added()

    return notify


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """A partial call record, made from what the database knows."""
    record = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
    return record | {"call": record.pop("id"), "outcome": {"result": "cut", "reason": record.pop("reason")}}
