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
Told = Callable[[Any], object]


class Turn:
    """The handling of one message, followed by the callbacks of every latch that it set."""

    __slots__ = ("loop", "taking", "woken")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop, known once the first latch is made: the turn is created before the loop runs."""
        self.taking = False
        """True while a message, and everything it triggers, is being handled."""
        self.woken: deque[tuple[Latch[Any], tuple[Any, ...]]] = deque()
        """Latches set while a message is handled, with their callbacks, which run only afterwards."""

    def soon(self, latch: Latch[Any], told: tuple[Any, ...]) -> None:
        """Run these callbacks after the current message, or in the loop's next iteration if there is none."""
        if self.taking:
            self.woken.append((latch, told))
        else:
            for at in range(0, len(told), 2):
                latch.get_loop().call_soon(told[at], latch, context=told[at + 1])

    def go_on(self) -> None:
        """The message is handled: run the waiting callbacks, and those of any latch that they set in turn."""
        woken = self.woken
        if asyncio.current_task(self.loop) is not None:  # a task cannot resume inside another
            self.taking = False
        while woken:
            latch, told = woken.popleft()
            if not self.taking:
                self.soon(latch, told)
                continue
            for at in range(0, len(told), 2):
                tell, context = told[at], told[at + 1]
                try:
                    if context is None:
                        tell(latch)
                    else:
                        context.run(tell, latch)
                except Exception:
                    log.exception("message not followed up")
            del latch, told, tell, context  # since Python 3.12 a logged error may keep this frame alive


class Latch(asyncio.Future[T]):
    """A future whose waiters resume in the turn of the message that sets it."""

    __slots__ = ("_told", "_turn")

    def __init__(self, turn: Turn) -> None:
        if turn.loop is None:
            turn.loop = asyncio.get_running_loop()
        super().__init__(loop=turn.loop)
        self._turn = turn
        self._told: tuple[Any, ...] = ()
        """Callbacks and their contexts, alternating: a tuple of pairs would take twice the memory."""

    def set_result(self, result: T) -> None:
        super().set_result(result)
        if self._told:
            self._tell()

    def set_exception(self, error: type | BaseException) -> None:
        super().set_exception(error)
        if self._told:
            self._tell()

    def cancel(self, msg: object = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self._told:
            self._tell()
        return cancelled

    def add_done_callback(self, told: Told, /, *, context: Context | None = None) -> None:
        """As for any future, except that without a `context` the setter's context is used."""
        if self.done():
            self._turn.soon(self, (told, context))
        else:
            self._told += (told, context)

    def remove_done_callback(self, told: Told, /) -> int:
        before = self._told
        if told not in before:
            return 0
        self._told = ()
        for at in range(0, len(before), 2):
            if before[at] != told:
                self._told += before[at : at + 2]
        return (len(before) - len(self._told)) // 2

    def _tell(self) -> None:
        told, self._told = self._told, ()
        self._turn.soon(self, told)
