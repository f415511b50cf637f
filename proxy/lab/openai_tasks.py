"""The tasks of the simulated OpenAI, each with an owner that cancels it and collects its error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger("screendoor")


class Tasks:
    """Tasks started from synchronous code; `close` cancels the rest and raises the errors of all."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    def start(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` until it ends or `close` cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            log.error("simulated openai erred", task=task.get_name(), exc_info=error)
            self._errors.append(error)

    async def close(self) -> None:
        """Cancel every task; raises an ExceptionGroup of all errors so far."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._errors:
            errors, self._errors = self._errors, []
            raise ExceptionGroup("errors in the simulated OpenAI", errors)

    def __len__(self) -> int:
        return len(self._running)
