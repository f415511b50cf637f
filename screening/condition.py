"""Waiting for a fact to become true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Change:
    """Whoever changes a fact says so; whoever waits for one looks again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happened(self) -> None:
        self._event.set()  # wakes everybody who waits now,
        self._event.clear()  # and nobody who comes later

    async def next(self) -> None:
        await self._event.wait()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return as soon as `fact` holds; at once if it holds already."""
        while not fact():
            await self._event.wait()
