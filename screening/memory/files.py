"""The files that belong to calls: their messages and their recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, select

from screening.memory import wal_cleanup
from screening.memory.schema import calls, lines, notices, voicemails, wire

log = structlog.get_logger("screendoor")


def of_message(message: Path) -> tuple[Path, Path]:
    """The file of a message, and the one beside it with what was said, which not every message has."""
    return message, message.with_suffix(".txt")


def files_of(connection: Connection, names: Sequence[str]) -> list[Path]:
    """Where the messages, their words and the recordings of these calls are, or were."""
    recorded = select(calls.c.recording).where(calls.c.id.in_(names), calls.c.recording.is_not(None))
    left = select(voicemails.c.file).where(voicemails.c.call.in_(names), voicemails.c.file.is_not(None))
    messages = map(Path, connection.execute(left).scalars())
    return [
        *map(Path, connection.execute(recorded).scalars()),
        *(file for message in messages for file in of_message(message)),
    ]


def delete_calls(connection: Connection, names: Sequence[str]) -> int:
    """Delete calls with all that is kept of them; returns how many files that was.

    The files go first: where we are interrupted, the rows still say what is left to be done.
    """
    if not names:
        return 0
    wal_cleanup.left(connection)
    count = sum(map(delete_file, files_of(connection, names)))
    for table in (lines, voicemails, wire, notices):
        connection.execute(delete(table).where(table.c.call.in_(names)))
    connection.execute(delete(calls).where(calls.c.id.in_(names)))
    return count


def delete_file(path: Path) -> bool:
    """Whether there was one; one that cannot be deleted is said, for somebody to do it."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.error("not deleted: please delete it", file=str(path), problem=error.strerror)
        return False
    return True
