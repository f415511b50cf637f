"""The files of calls that were cut: who took the message or made the recording was gone before it said so."""

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

LEAST_S = 1.0
"""A message that is shorter is none."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where they are: each call's under its name."""

    messages: Path
    recordings: Path

    def take_in(self, connection: Connection, names: Sequence[str], at: datetime) -> None:
        """Have what there is of these calls known, to be heard, and deleted when its time comes."""
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
        if seconds is not None and seconds < LEAST_S:
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


def give_back(connection: Connection, names: Sequence[str]) -> None:
    """These calls go on after all: who has them will say what there is of them."""
    connection.execute(delete(voicemails).where(voicemails.c.call.in_(names)))
    unknown = {"recording": None, "recording_s": None}
    connection.execute(update(calls).where(calls.c.id.in_(names)).values(unknown))


def _seconds(file: Path) -> float | None:
    """How long it is; None where it is no sound that we made."""
    try:
        with wave.open(str(file)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (OSError, EOFError, wave.Error):
        return None
