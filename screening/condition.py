"""Waiting for a condition to become true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Change:
    """A minimal condition variable: every change wakes the waiters, who check their predicate again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happened(self) -> None:
        self._event.set()  # wakes everyone waiting now,
        self._event.clear()  # and nobody who starts later

    async def next(self) -> None:
        await self._event.wait()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return as soon as `fact` holds; at once if it already does."""
        while not fact():
            await self._event.wait()
