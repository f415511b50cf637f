"""Calls that were cut because their process ended: nobody was there to tell of them, so it is done later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from screening.memory.schema import CUT, calls, notices, voicemails
from screening.notices.stored_outbox import insert
from screening.notices.target import Target, letters_of_call

LOOK_S = 30.0
"""How often such calls are looked for."""
KEPT = timedelta(days=1)
"""A cut that was found longer ago is not told any more."""
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


def teller(
    targets: Sequence[Target], now: Callable[[], float], told: Callable[[], None]
) -> Callable[[Connection], None]:
    """Work for the memory's thread; `told` is called there when there is something new to tell."""

    def tell(connection: Connection) -> None:
        since = datetime.fromtimestamp(now(), UTC) - KEPT
        known = select(notices.c.id).where(notices.c.call == calls.c.id).exists()
        of_calls = calls.outerjoin(voicemails, voicemails.c.call == calls.c.id)
        untold = select(calls.c.id, calls.c.reason, *_KNOWN).select_from(of_calls)
        untold = untold.where(calls.c.state == CUT, ~known)
        rows = connection.execute(untold.where(calls.c.ended >= since)).mappings().all()
        letters = [letter for row in rows for letter in letters_of_call(targets, _record(dict(row)), now())]
        if letters:
            insert(connection, letters)
            told()

    return tell


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """As much of a call record as there is."""
    record = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
    return record | {"call": record.pop("id"), "outcome": {"result": "cut", "reason": record.pop("reason")}}
