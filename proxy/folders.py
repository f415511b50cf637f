"""Checks at startup that the folders for recordings and voicemail are writable."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

import structlog

from proxy.config import Settings

log = structlog.get_logger("screendoor")


def check(settings: Settings) -> None:
    """Raise OSError if recording is on and its folder is not writable; only warn for the voicemail folder."""
    screenings = [settings.screening_of(number) for number in settings.numbers]
    if any(screening.record == "on" for screening in screenings):
        _check_folder(settings.screening.recording_dir)
    try:
        _check_folder(settings.screening.voicemail_dir)
    except OSError as error:
        log.warning("voicemail not possible", problem=str(error))


def _check_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryFile(dir=folder):
        pass
