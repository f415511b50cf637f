"""Restores state from the database at startup, or as soon as the database is available."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

AGAIN_S = 10.0
"""Retry interval while the database is unavailable."""

Way = Callable[[bool], Awaitable[bool]]
"""Restores one kind of state; returns whether it succeeded. Its argument: whether this is a retry."""


@asynccontextmanager
async def taken_in(ways: Sequence[Way]) -> AsyncIterator[None]:
    """Restore what is available now, and retry the rest in the background during the ``async with``."""
    left = [way for way in ways if not await way(False)]
    task = asyncio.create_task(_asked_again(left), name="past")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _asked_again(ways: Sequence[Way]) -> None:
    while ways:
        await asyncio.sleep(AGAIN_S)
        ways = [way for way in ways if not await way(True)]
