"""What is known of the calls before this start: taken in at once, or when the database is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

AGAIN_S = 10.0
"""How often it is asked for what could not be known yet."""

Way = Callable[[bool], Awaitable[bool]]
"""Takes in one thing of the past, and returns whether it is known; asked with whether it is asked again."""


@asynccontextmanager
async def taken_in(ways: Sequence[Way]) -> AsyncIterator[None]:
    """Take in what can be known now; the rest as soon as it can be, until the end of the ``async with``."""
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
