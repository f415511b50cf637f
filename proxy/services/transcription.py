"""Transcribes voicemails after their calls, in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import httpx2
import structlog

from proxy.call.record import CallRecord
from proxy.config import Settings
from proxy.media.disk_writer import Disk
from proxy.voices import account_of
from screening.openai import model_shutdowns
from screening.openai.model_shutdowns import Shutdown
from screening.transcription import Account, OpenAITranscription, Transcription, TranscriptionFailed

log = structlog.get_logger("screendoor")

CONCURRENCY = 2
MAX_WAITING = 100
"""Beyond this many waiting voicemails new ones are not transcribed: OpenAI has been unavailable for long."""


class VoicemailTranscriber:
    """Transcribes the voicemails of the numbers that have this enabled."""

    def __init__(self, settings: Settings, disk: Disk) -> None:
        self._disk = disk
        self.listeners: list[Callable[[CallRecord], None]] = []
        """Called with each finished record, once the transcript of its voicemail, if any, is known."""
        self._http: httpx2.AsyncClient | None = None
        self._transcription: Transcription | None = None
        self._enabled_numbers = enabled_numbers = _enabled_numbers(settings)
        paid = account_of(settings)
        if enabled_numbers and paid is not None:
            self._http = httpx2.AsyncClient()
            model = settings.screening.voicemail_transcript_model
            self._transcription = OpenAITranscription(
                Account(paid.api_base, paid.api_key, model, paid.project), self._http
            )
        self.counts = {"done": 0, "failed": 0, "left": 0}
        """Results by kind; `left` counts voicemails skipped because too many waited, or we stopped."""
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._tasks: dict[asyncio.Task[None], CallRecord] = {}

    def wants(self, record: CallRecord) -> bool:
        """Whether the record has a voicemail to transcribe."""
        return (
            record.voicemail is not None
            and self._transcription is not None
            and record.dialed in self._enabled_numbers
        )

    def finished(self, record: CallRecord) -> None:
        """A call ended; returns at once."""
        if record.voicemail is None or self._transcription is None or not self.wants(record):
            return self._notify(record)
        if len(self._tasks) >= MAX_WAITING:
            log.warning("not transcribed", call=record.call, why=f"{MAX_WAITING} messages wait already")
            self.counts["left"] += 1
            return self._notify(record)
        task = asyncio.ensure_future(self._transcribe(self._transcription, record, Path(record.voicemail)))
        self._tasks[task] = record
        task.add_done_callback(self._over)

    async def close(self) -> None:
        """Cancel what is unfinished; those records are passed on without a transcript."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
            await asyncio.sleep(0)  # let the callbacks of cancelled tasks run
        if self._http is not None:
            await self._http.aclose()

    def _notify(self, record: CallRecord) -> None:
        for listener in self.listeners:
            listener(record)

    async def _transcribe(self, transcription: Transcription, record: CallRecord, message: Path) -> None:
        try:
            async with self._slots:
                text = await transcription.transcribe(message)
        except TranscriptionFailed as failure:
            log.warning("not transcribed", call=record.call, why=str(failure))
            self.counts["failed"] += 1
            return
        self.counts["done"] += 1
        record.voicemail_transcript = text
        self._disk(lambda: _keep(message.with_suffix(".txt"), text))
        log.info("transcribed", call=record.call, characters=len(text))

    def _over(self, task: asyncio.Task[None]) -> None:
        record = self._tasks.pop(task)
        if task.cancelled():
            self.counts["left"] += 1
        elif (error := task.exception()) is not None:
            self.counts["failed"] += 1
            log.error("not transcribed", call=record.call, exc_info=error)
        self._notify(record)


def _keep(file: Path, text: str) -> None:
    """Write the transcript beside the audio, readable by its owner alone.

    A full disk only costs this file.
    """
    with suppress(OSError):
        file.touch(mode=0o600)
        file.write_text(f"{text}\n", encoding="utf-8")


def _enabled_numbers(settings: Settings) -> frozenset[str]:
    """The dialled numbers whose voicemails are to be transcribed."""
    return frozenset(
        number.dialed
        for number in settings.numbers
        if settings.screening_of(number).voicemail_transcript == "on"
    )


def shutdown(settings: Settings, today: date) -> Shutdown | None:
    """The shutdown of the model that transcribes voicemails; None if it is not near, or not OpenAI's."""
    paid = account_of(settings)
    if paid is None or "api.openai.com/" not in paid.api_base or not _enabled_numbers(settings):
        return None
    model = settings.screening.voicemail_transcript_model
    return model_shutdowns.shutdown("screening: voicemail_transcript_model", model, today)
