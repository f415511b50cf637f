"""Voicemail and recording files of interrupted calls, whose process ended before it could store them."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, insert, select, update

from screening.memory.files import delete_file
from screening.memory.schema import calls, voicemails

log = structlog.get_logger("screendoor")

MIN_VOICEMAIL_S = 1.0
"""Shorter voicemails are discarded."""


@dataclass(frozen=True, slots=True)
class CallFolders:
    """The folders of audio files; each file is named after its call."""

    messages: Path
    recordings: Path

    def adopt(self, connection: Connection, names: Sequence[str], at: datetime) -> None:
        """Store the files of these calls, so that they can be played and are deleted by retention."""
        found = 0
        for name in names:
            found += self._message(connection, name, at) + self._recording(connection, name)
        if found:
            log.info("files of cut calls found", files=found)

    def _message(self, connection: Connection, name: str, at: datetime) -> bool:
        file = (self.messages / f"{name}.wav").absolute()
        if not file.is_file():
            return False
        seconds = _seconds(file)
        if seconds is not None and seconds < MIN_VOICEMAIL_S:
            delete_file(file)
            return False
        known = select(voicemails.c.call).where(voicemails.c.call == name)
        if connection.execute(known).first() is None:
            row = {"call": name, "file": str(file), "seconds": seconds, "left_at": at}
            connection.execute(insert(voicemails), row)
        return True

    def _recording(self, connection: Connection, name: str) -> bool:
        file = (self.recordings / f"{name}.wav").absolute()
        if not file.is_file():
            return False
        made = {"recording": str(file), "recording_s": _seconds(file)}
        connection.execute(update(calls).where(calls.c.id == name).values(made))
        return True


def disown(connection: Connection, names: Sequence[str]) -> None:
    """Undo `adopt` for calls that are still running after all; their process will store the files."""
    connection.execute(delete(voicemails).where(voicemails.c.call.in_(names)))
    unknown = {"recording": None, "recording_s": None}
    connection.execute(update(calls).where(calls.c.id.in_(names)).values(unknown))


def _seconds(file: Path) -> float | None:
    """Duration of a WAV file; None if it is not readable."""
    try:
        with wave.open(str(file)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (OSError, EOFError, wave.Error):
        return None
