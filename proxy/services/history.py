"""Restores state from the database at startup, or as soon as the database is available."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

RETRY_S = 10.0
"""Retry interval while the database is unavailable."""

Restore = Callable[[bool], Awaitable[bool]]
"""Restores one kind of state; returns whether it succeeded. Its argument: whether this is a retry."""


@asynccontextmanager
async def restored(restores: Sequence[Restore]) -> AsyncIterator[None]:
    """Restore what is available now, and retry the rest in the background during the ``async with``."""
    pending = [restore for restore in restores if not await restore(False)]
    task = asyncio.create_task(_retry(pending), name="past")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _retry(restores: Sequence[Restore]) -> None:
    while restores:
        await asyncio.sleep(RETRY_S)
        restores = [restore for restore in restores if not await restore(True)]
