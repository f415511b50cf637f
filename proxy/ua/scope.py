"""``async with`` scopes that are interrupted when a leg ends or a time limit passes.

The mechanism is that of ``asyncio.timeout``: cancel the task, convert the cancellation at the exit.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.ua.errors import LegEnded, LimitReached
from proxy.ua.reason import EndReason
from proxy.ua.timer_queue import Timer, TimerQueue

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class InterruptibleScope:
    """The body of an ``async with`` that can be interrupted.

    Interrupting cancels the current task; the exit of the block turns the cancellation into an exception, so
    blocks nest. The block itself is the callback: it lives as long as a call, and a bound method would double
    its memory.
    """

    __slots__ = ("_cancelling", "_exited", "_interrupted", "_task")

    def _enter(self, loop: asyncio.AbstractEventLoop | None) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._interrupted = self._exited = False

    def __call__(self, _: object = None) -> None:
        if not self._exited:  # the call may already be scheduled when the block exits in the same tick
            self._interrupted = True
            self._task.cancel()

    def _was_interrupted(self, kind: type[BaseException] | None) -> bool:
        """Whether the block is being left because of our own interruption, with an exception of type `kind`.

        Called only after an interruption; takes back its cancellation request.
        """
        return self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError


class LegScope(InterruptibleScope):
    """``async with leg.up():`` raises `LegEnded` inside the block when the peer ends the leg.

    If two legs end in the same tick, the outer one is reported. If this leg has ended, that takes precedence
    over any other SipError raised in the same tick.
    """

    __slots__ = ("_leg",)

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    async def __aenter__(self) -> Leg:
        leg = self._leg
        ended = leg.ended
        self._enter(ended.get_loop())
        if ended.done():
            raise LegEnded(leg, ended.result())
        ended.add_done_callback(self)
        return leg

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exited = True
        self._leg.ended.remove_done_callback(self)
        ours = self._interrupted and self._was_interrupted(kind)
        if ours or (isinstance(error, SipError) and self._leg.ended.done()):
            raise LegEnded(self._leg, self._leg.ended.result()) from None


class limit(InterruptibleScope):
    """``async with limit(timer_queue, seconds, reason):`` raises `LimitReached(reason)` after that time."""

    __slots__ = ("_reason", "_seconds", "_timer", "_timer_queue")

    def __init__(self, timer_queue: TimerQueue, seconds: float, reason: EndReason) -> None:
        self._timer_queue, self._seconds, self._reason = timer_queue, seconds, reason

    async def __aenter__(self) -> None:
        timer_queue = self._timer_queue
        ends_at = timer_queue.now() + self._seconds
        self._enter(timer_queue.loop)
        self._timer: Timer = timer_queue.at(ends_at, self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exited = True
        self._timer.cancel()
        if self._interrupted and self._was_interrupted(kind):
            raise LimitReached(self._reason) from None
