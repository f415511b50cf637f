"""Waiting for a condition to become true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Condition:
    """A minimal condition variable: every change wakes the waiters, who check their predicate again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify_all(self) -> None:
        self._event.set()  # wakes everyone waiting now,
        self._event.clear()  # and nobody who starts later

    async def wait(self) -> None:
        await self._event.wait()

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Return as soon as `predicate` holds; at once if it already does."""
        while not predicate():
            await self._event.wait()
