"""Waiting that a leg's end, or a limit, interrupts: the mechanism of ``asyncio.timeout`` for other events."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.ua.errors import LegEnded, LimitReached
from proxy.ua.reason import EndReason
from proxy.ua.timer_queue import Alarm, Alarms

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class Block:
    """The body of an ``async with`` that can be interrupted.

    The current task is cancelled, and the cancellation is turned into an exception at the exit of the block;
    so blocks nest. A block is called to be interrupted: it waits as long as a call, and a bound method would
    be as large again.
    """

    __slots__ = ("_cancelling", "_interrupted", "_left", "_task")

    def _enter(self, loop: asyncio.AbstractEventLoop | None) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._interrupted = self._left = False

    def __call__(self, _: object = None) -> None:
        if not self._left:  # it may be scheduled already when the block is left in the same tick
            self._interrupted = True
            self._task.cancel()

    def _broke(self, kind: type[BaseException] | None) -> bool:
        """Whether the exception of this kind that the block is left with is our interruption, which was."""
        return self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError


class Up(Block):
    """``async with leg.up():`` raises `LegEnded` inside the block when the peer ends the leg.

    Of two legs that end in one tick the outer one is reported; and of a leg that has ended its end, whatever
    else went wrong with others in the same tick.
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
        self._left = True
        self._leg.ended.remove_done_callback(self)
        ours = self._interrupted and self._broke(kind)
        if ours or (isinstance(error, SipError) and self._leg.ended.done()):
            raise LegEnded(self._leg, self._leg.ended.result()) from None


class limit(Block):
    """``async with limit(alarms, seconds, reason):`` raises `LimitReached(reason)` when the block takes
    longer.
    """

    __slots__ = ("_alarm", "_alarms", "_reason", "_seconds")

    def __init__(self, alarms: Alarms, seconds: float, reason: EndReason) -> None:
        self._alarms, self._seconds, self._reason = alarms, seconds, reason

    async def __aenter__(self) -> None:
        alarms = self._alarms
        ends_at = alarms.now() + self._seconds
        self._enter(alarms.loop)
        self._alarm: Alarm = alarms.at(ends_at, self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self._alarm.cancel()
        if self._interrupted and self._broke(kind):
            raise LimitReached(self._reason) from None
