"""Futures whose callbacks run in the same event-loop iteration as the message that resolves them.

An `asyncio.Future` wakes its waiters one iteration later, and a cancelled task resumes one later still. Each
iteration costs a system call, and when calls are few, code that has left the CPU caches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

import structlog

log = structlog.get_logger("screendoor")

T = TypeVar("T")
DoneCallback = Callable[[Any], object]


class MessageTurn:
    """The handling of one message, followed by the callbacks of every latch that it set."""

    __slots__ = ("handling", "loop", "pending")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop, known once the first latch is made: the turn is created before the loop runs."""
        self.handling = False
        """True while a message, and everything it triggers, is being handled."""
        self.pending: deque[tuple[Latch[Any], tuple[Any, ...]]] = deque()
        """Latches set while a message is handled, with their callbacks, which run only afterwards."""

    def schedule(self, latch: Latch[Any], callbacks: tuple[Any, ...]) -> None:
        """Run these callbacks after the current message, or in the loop's next iteration if there is none."""
        if self.handling:
            self.pending.append((latch, callbacks))
        else:
            for at in range(0, len(callbacks), 2):
                latch.get_loop().call_soon(callbacks[at], latch, context=callbacks[at + 1])

    def run_pending(self) -> None:
        """The message is handled: run the waiting callbacks, and those of any latch that they set in turn."""
        pending = self.pending
        if asyncio.current_task(self.loop) is not None:  # a task cannot resume inside another
            self.handling = False
        while pending:
            latch, callbacks = pending.popleft()
            if not self.handling:
                self.schedule(latch, callbacks)
                continue
            for at in range(0, len(callbacks), 2):
                callback, context = callbacks[at], callbacks[at + 1]
                try:
                    if context is None:
                        callback(latch)
                    else:
                        context.run(callback, latch)
                except Exception:
                    log.exception("message not followed up")
            # Since Python 3.12 a logged error may keep this frame alive.
            del latch, callbacks, callback, context


class Latch(asyncio.Future[T]):
    """A future whose waiters resume in the turn of the message that sets it."""

    __slots__ = ("_deferred", "_turn")

    def __init__(self, turn: MessageTurn) -> None:
        if turn.loop is None:
            turn.loop = asyncio.get_running_loop()
        super().__init__(loop=turn.loop)
        self._turn = turn
        self._deferred: tuple[Any, ...] = ()
        """Callbacks and their contexts, alternating: a tuple of pairs would take twice the memory."""

    def set_result(self, result: T) -> None:
        super().set_result(result)
        if self._deferred:
            self._run_deferred()

    def set_exception(self, error: type | BaseException) -> None:
        super().set_exception(error)
        if self._deferred:
            self._run_deferred()

    def cancel(self, msg: object = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self._deferred:
            self._run_deferred()
        return cancelled

    def add_done_callback(self, callback: DoneCallback, /, *, context: Context | None = None) -> None:
        """As for any future, except that without a `context` the setter's context is used."""
        if self.done():
            self._turn.schedule(self, (callback, context))
        else:
            self._deferred += (callback, context)

    def remove_done_callback(self, callback: DoneCallback, /) -> int:
        before = self._deferred
        if callback not in before:
            return 0
        self._deferred = ()
        for at in range(0, len(before), 2):
            if before[at] != callback:
                self._deferred += before[at : at + 2]
        return (len(before) - len(self._deferred)) // 2

    def _run_deferred(self) -> None:
        callbacks, self._deferred = self._deferred, ()
        self._turn.schedule(self, callbacks)
