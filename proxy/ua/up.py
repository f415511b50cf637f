"""Waiting that a leg's end, or a limit, interrupts: the mechanism of ``asyncio.timeout`` for other events."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from proxy.ua.errors import LegEnded, LimitReached
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.ua.latch import Latch
    from proxy.ua.leg import Leg


class Up:
    """``async with leg.up():`` raises `LegEnded` inside the block when the peer ends the leg.

    The current task is cancelled and the cancellation is turned into `LegEnded` at the exit of the block, so
    blocks nest, and of two legs that end in one tick the outer one is reported.
    """

    __slots__ = ("_cancelling", "_interrupted", "_left", "_leg", "_task")

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._interrupted = self._left = False

    async def __aenter__(self) -> Leg:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        if self._leg.ended.done():
            raise LegEnded(self._leg, self._leg.ended.result())
        self._leg.ended.add_done_callback(self._interrupt)
        return self._leg

    def _interrupt(self, _: Latch[EndReason]) -> None:
        if not self._left:  # it may be scheduled already when the block is left in the same tick
            self._interrupted = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self._leg.ended.remove_done_callback(self._interrupt)
        if self._interrupted and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise LegEnded(self._leg, self._leg.ended.result()) from None


class limit:
    """``async with limit(seconds, reason):`` raises `LimitReached(reason)` when the block takes longer."""

    def __init__(self, seconds: float, reason: EndReason) -> None:
        self._clock, self._reason = asyncio.timeout(seconds), reason

    async def __aenter__(self) -> None:
        await self._clock.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._clock.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._clock.expired():
                raise LimitReached(self._reason) from None
            raise
