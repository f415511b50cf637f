"""What a message brings about is done in the turn of the event loop in which the message came.

A future of asyncio wakes who waits for it in the turn after, and a cancelled task goes on one turn later
still. Each is a system call, and code that is touched anew where calls are few.
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
    """The time that belongs to one message: it is dealt with, then those go on whom that has woken."""

    __slots__ = ("loop", "taking", "woken")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """Whose turn it is, once the first latch is made: we are made before the loop runs."""
        self.taking = False
        """True from the first look at a message until all is done that it brings about."""
        self.woken: deque[tuple[Latch[Any], tuple[Any, ...]]] = deque()
        """The latches that are set, and who waits for the message to be dealt with (`Latch`): they are not
        to go on in the midst of that."""

    def soon(self, latch: Latch[Any], told: tuple[Any, ...]) -> None:
        """Tell of this latch once the message is dealt with; where there is none, in the loop's next turn."""
        if self.taking:
            self.woken.append((latch, told))
        else:
            for at in range(0, len(told), 2):
                latch.get_loop().call_soon(told[at], latch, context=told[at + 1])

    def go_on(self) -> None:
        """The message is dealt with: tell those who wait for that, and whom they wake in turn."""
        woken = self.woken
        if asyncio.current_task(self.loop) is not None:  # no task goes on inside another
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
            del latch, told, tell, context  # from Python 3.12 on an error may know this frame, too


class Latch(asyncio.Future[T]):
    """A future whose waiters go on in the turn of the message that sets it."""

    __slots__ = ("_told", "_turn")

    def __init__(self, turn: Turn) -> None:
        if turn.loop is None:
            turn.loop = asyncio.get_running_loop()
        super().__init__(loop=turn.loop)
        self._turn = turn
        self._told: tuple[Any, ...] = ()
        """Whom to tell, and in which context, by turns: pairs would take twice the room."""

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
        """As for any future; without a `context` it is called in that of whoever sets the latch."""
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
