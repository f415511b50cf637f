"""Audio and text files that belong to calls: voicemails and recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, select

from screening.memory import wal_cleanup
from screening.memory.schema import calls, lines, notices, voicemails, wire

log = structlog.get_logger("screendoor")


def voicemail_files(message: Path) -> tuple[Path, Path]:
    """The audio file of a voicemail, and the transcript beside it, which may not exist."""
    return message, message.with_suffix(".txt")


def files_of(connection: Connection, names: Sequence[str]) -> list[Path]:
    """Paths of the voicemails, their transcripts and the recordings of these calls; the files may be gone."""
    recorded = select(calls.c.recording).where(calls.c.id.in_(names), calls.c.recording.is_not(None))
    left = select(voicemails.c.file).where(voicemails.c.call.in_(names), voicemails.c.file.is_not(None))
    messages = map(Path, connection.execute(left).scalars())
    return [
        *map(Path, connection.execute(recorded).scalars()),
        *(file for message in messages for file in voicemail_files(message)),
    ]


def delete_calls(connection: Connection, names: Sequence[str]) -> int:
    """Delete calls with everything stored about them; returns the number of files deleted.

    Files are deleted first: after an interruption the rows still show what is left to delete.
    """
    if not names:
        return 0
    wal_cleanup.mark(connection)
    count = sum(map(delete_file, files_of(connection, names)))
    for table in (lines, voicemails, wire, notices):
        connection.execute(delete(table).where(table.c.call.in_(names)))
    connection.execute(delete(calls).where(calls.c.id.in_(names)))
    return count


def delete_file(path: Path) -> bool:
    """Delete a file; returns whether it existed. A failure is logged for an operator to resolve."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.error("not deleted: please delete it", file=str(path), problem=error.strerror)
        return False
    return True
