"""Wait for whichever comes first, and for nothing after that."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def first(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> A | B:
    """Return the result of the wait that ends first; of two in one tick, the first named.

    The other is cancelled and awaited, so nothing is left running, however this wait itself ends.
    """
    tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        result: A | B = next(task for task in tasks if task.done()).result()
        return result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def forever() -> None:
    """Wait until interrupted: a bridge has no end of its own."""
    await asyncio.get_running_loop().create_future()
