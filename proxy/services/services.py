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
from proxy.services.record_forms import Told
from proxy.services.transcription import Transcribing
from proxy.ua.ids import Ids

if TYPE_CHECKING:
    from screening.memory.store import Memory

log = structlog.get_logger("screendoor")

WORDS_S = 60.0
"""How long notices of a voicemail wait for its transcript."""


class Services:
    """Is told when each call begins and ends; no call waits for it."""

    def __init__(
        self, settings: Settings, ids: Ids, metrics: Metrics, disk: Disk, now: Callable[[], datetime]
    ) -> None:
        """Raises `Unusable`, an OSError, if the database cannot be used."""
        self._settings, self._metrics, self._now = settings, metrics, now
        remembered = memory_setup.memory(settings, ids.token(), now)
        self.memory: Memory | None = remembered.memory if remembered else None
        self.screener = policy_setup.screener(settings, now, remembered.lists if remembered else None)
        if self.memory is not None:
            self.screener.on_wish = memory_setup.wishes(self.memory, settings, now)
        self.capture = memory_setup.capture(settings, self.memory)
        """Captures SIP traces, if they are stored."""
        self.dispatcher = notifications.dispatcher(settings, now, ids.uniform, self.memory, metrics.registry)
        self.transcribing = Transcribing(settings, disk)
        self._records: LineBuffer[Told] | None = None
        metrics.follow_sessions(self.screener.counts)
        metrics.follow_transcriptions(self.transcribing.counts)
        if (memory := self.memory) is not None:
            metrics.follow_memory(lambda: memory.waiting, lambda: memory.failures, lambda: memory.lost)

    async def open(self, stack: AsyncExitStack) -> None:
        """Start the services; `stack` closes them. Raises OSError for a file that cannot be written."""
        if self._settings.records is not None:
            self._records = LineBuffer(
                RecordFile(self._settings.records), partial(map, Told.line), _tell_of_records
            )
            stack.callback(self._records.close)
        if self.memory is not None:
            await asyncio.to_thread(self.memory.start)
            stack.push_async_callback(asyncio.to_thread, self.memory.close)
            if self.capture is not None:
                stack.callback(self.capture.close)
            if self._settings.memory.transcripts == "on":
                self.transcribing.told.append(memory_setup.words_to(self.memory))
        if self.dispatcher is not None:
            await stack.enter_async_context(self.dispatcher)
            self.transcribing.told.append(self._words_known)
            self.screener.accounts.on_warning(self.dispatcher.budget)
        await stack.enter_async_context(history.taken_in(self._ways_to_the_past()))
        stack.push_async_callback(self.transcribing.close)
        await stack.enter_async_context(self.screener)

    def _ways_to_the_past(self) -> list[history.Way]:
        now, memory = self._now(), self.memory
        ways: list[history.Way] = [
            partial(costs.restore, self._settings, self.screener.accounts, memory, now)
        ]
        if memory is not None:
            ways.append(partial(memory_setup.restore, self.screener.recent, memory, now))
        return ways

    def began(self, record: CallRecord) -> None:
        """A call came in."""
        self._metrics.call_began()
        if self.memory is not None:
            self.memory.began(record.call, record.began, record.caller, record.caller_name, record.dialed)

    def finished(self, record: CallRecord) -> None:
        """A call ended."""
        self._count(record)
        if self._records is not None or self.memory is not None or self.dispatcher is not None:
            told = Told(record)
            if self.dispatcher is not None:  # first: a call stored as ended must have its notices stored
                self.dispatcher.finished(told(), WORDS_S if self.transcribing.takes(record) else 0.0)
            if self.memory is not None:
                self.memory.finished(told, told.json)
            if self._records is not None:
                self._records.write(told)
        if self.capture is not None:
            self.capture.over(record.call, ((leg.name, leg.call_ids) for leg in record.legs))
        self.transcribing.finished(record)

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

    def _words_known(self, record: CallRecord) -> None:
        """The transcript of a voicemail is available, or failed."""
        if self.dispatcher is not None and self.transcribing.takes(record):
            self.dispatcher.finished(record.as_dict())


def _tell_of_records(error: OSError | None, lines: int) -> None:
    if error is not None:
        log.error("call records not written: calls go on", problem=str(error), lost=lines)
    else:
        log.info("call records are written again", lost=lines)
