"""Structured waiting: the first of several coroutines, work beside a block, the end of a leg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from proxy.ua.latch import Latch
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason

T = TypeVar("T")


async def first_of(*waits: Coroutine[Any, Any, T]) -> T:
    """Return the result of the wait that ends first; of several in one tick, the first named.

    The others are cancelled and awaited, so nothing is left running, however this wait itself ends.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        try:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:  # breaks a reference cycle: task -> exception -> traceback -> this frame -> task
            tasks.clear()
            del task


@asynccontextmanager
async def meanwhile(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the end; what it raised is raised then."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


class EndOf(Latch[EndReason]):
    """Awaits the end of a leg in a wait that may be cancelled, which would cancel the leg's own latch."""

    __slots__ = ()

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg.core.turn)
        leg.ended.add_done_callback(self)

    def __call__(self, ended: Latch[EndReason]) -> None:
        if not self.done():
            self.set_result(ended.result())
