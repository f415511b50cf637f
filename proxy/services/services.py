"""The services beside the calls: screening, memory, notices, transcription, records and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from proxy.call.outcome import Result
from proxy.call.record import CallRecord
from proxy.config import Settings
from proxy.line_buffer import LineBuffer
from proxy.media.disk_writer import Disk
from proxy.metrics import Metrics
from proxy.record_file import RecordFile
from proxy.services import costs, history, memory_setup, notifications, policy_setup
from proxy.services.record_forms import RecordForms
from proxy.services.transcription import VoicemailTranscriber
from proxy.ua.ids import Ids
from screening.openai.model_shutdowns import Shutdown

if TYPE_CHECKING:
    from screening.memory.store import Memory

log = structlog.get_logger("screendoor")

TRANSCRIPT_WAIT_S = 60.0
"""How long notices of a voicemail wait for its transcript."""


class Services:
    """Is told when each call begins and ends; no call waits for it."""

    def __init__(
        self, settings: Settings, ids: Ids, metrics: Metrics, disk: Disk, now: Callable[[], datetime]
    ) -> None:
        """Raises `Unusable`, an OSError, if the database cannot be used."""
        self._settings, self._metrics, self._now = settings, metrics, now
        running = memory_setup.build_memory(settings, ids.token(), now)
        self.memory: Memory | None = running.memory if running else None
        self.screener = policy_setup.screener(settings, now, running.lists if running else None)
        if self.memory is not None:
            self.screener.on_wish = memory_setup.wish_recorder(self.memory, settings, now)
        self.capture = memory_setup.sip_capture(settings, self.memory)
        """Captures SIP traces, if they are stored."""
        self.dispatcher = notifications.dispatcher(settings, now, ids.uniform, self.memory, metrics.registry)
        self.transcriber = VoicemailTranscriber(settings, disk)
        self._records: LineBuffer[RecordForms] | None = None
        metrics.follow_sessions(self.screener.counts)
        metrics.follow_transcriptions(self.transcriber.counts)
        if (memory := self.memory) is not None:
            metrics.follow_memory(lambda: memory.waiting, lambda: memory.failures, lambda: memory.lost)

    async def open(self, stack: AsyncExitStack) -> None:
        """Start the services; `stack` closes them. Raises OSError for a file that cannot be written."""
        if self._settings.records is not None:
            self._records = LineBuffer(
                RecordFile(self._settings.records), partial(map, RecordForms.line), _log_record_errors
            )
            stack.callback(self._records.close)
        if self.memory is not None:
            await asyncio.to_thread(self.memory.start)
            stack.push_async_callback(asyncio.to_thread, self.memory.close)
            if self.capture is not None:
                stack.callback(self.capture.close)
            if self._settings.memory.transcripts == "on":
                self.transcriber.listeners.append(memory_setup.transcript_recorder(self.memory))
        if self.dispatcher is not None:
            await stack.enter_async_context(self.dispatcher)
            self.transcriber.listeners.append(self._transcript_ready)
            self.screener.accounts.on_warning(self.dispatcher.budget)
        await stack.enter_async_context(history.restored(self._restores()))
        stack.push_async_callback(self.transcriber.close)
        await stack.enter_async_context(self.screener)

    def _restores(self) -> list[history.Restore]:
        now, memory = self._now(), self.memory
        restores: list[history.Restore] = [
            partial(costs.restore, self._settings, self.screener.accounts, memory, now)
        ]
        if memory is not None:
            restores.append(partial(memory_setup.restore, self.screener.recent, memory, now))
        return restores

    def model_ends(self, shutdown: Shutdown) -> None:
        """A model in the settings is shut down soon, or was."""
        if self.dispatcher is not None:
            self.dispatcher.shutdown(shutdown)

    def began(self, record: CallRecord) -> None:
        """A call came in."""
        self._metrics.call_began()
        if self.memory is not None:
            self.memory.began(record.call, record.began, record.caller, record.caller_name, record.dialed)

    def finished(self, record: CallRecord) -> None:
        """A call ended."""
        self._count(record)
        if self._records is not None or self.memory is not None or self.dispatcher is not None:
            forms = RecordForms(record)
            if self.dispatcher is not None:  # first: a call stored as ended must have its notices stored
                self.dispatcher.finished(
                    forms(), TRANSCRIPT_WAIT_S if self.transcriber.wants(record) else 0.0
                )
            if self.memory is not None:
                self.memory.finished(forms, forms.json)
            if self._records is not None:
                self._records.write(forms)
        if self.capture is not None:
            self.capture.over(record.call, ((leg.name, leg.call_ids) for leg in record.legs))
        self.transcriber.finished(record)

    def _count(self, record: CallRecord) -> None:
        assert record.outcome is not None, "a call that is over has come to something"
        self._metrics.call_ended(record.outcome.result.text)
        if (passed := record.challenge_passed) is not None:
            left = "left" if record.outcome.result is Result.CALLER_LEFT else "failed"
            self._metrics.challenge_over("passed" if passed else left)
        for leg in record.legs:
            if leg.quality is not None:
                self._metrics.audio.leg_over(leg.name, leg.quality, silent=leg.silent is not None)
        if record.cost is not None:
            self._metrics.costs.call_over(record.cost)

    def _transcript_ready(self, record: CallRecord) -> None:
        """The transcript of a voicemail is available, or failed."""
        if self.dispatcher is not None and self.transcriber.wants(record):
            self.dispatcher.finished(record.as_dict())


def _log_record_errors(error: OSError | None, lines: int) -> None:
    if error is not None:
        log.error("call records not written: calls go on", problem=str(error), lost=lines)
    else:
        log.info("call records are written again", lost=lines)
