"""Waiting for more than one thing: whichever comes first, one beside another, nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never, TypeVar

from proxy.ua.latch import Latch, Turn

T = TypeVar("T")


async def first(*waits: Coroutine[Any, Any, T]) -> T:
    """Return the result of the wait that ends first; of several in one tick, the first named.

    The others are cancelled and awaited, so nothing is left running, however this wait itself ends.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def meanwhile(work: Awaitable[None]) -> AsyncIterator[None]:
    """Do this work beside the block, and no longer than the block takes; what it raises is raised after."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def forever(turn: Turn) -> Latch[Never]:
    """To be awaited until interrupted: a bridge has no end of its own."""
    return Latch(turn)
