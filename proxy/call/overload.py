"""Detects overload of the process: event loop lag, or memory above a limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger("screendoor")

TICK_S = 0.1
TICKS_PER_LOOK = 10
"""Memory is measured every so many ticks."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """The resident memory of this process; 0 where the system does not tell (no /proc)."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    return 0


class OverloadMonitor:
    """Measures loop lag and memory while `watch` runs; the loop counts as late if two ticks in a row are.

    A single late tick is a hiccup, after which the queue is worked off; two mean that more work comes in than
    gets done.
    """

    def __init__(
        self, lag_limit_s: float, memory_limit_bytes: int, resident: Callable[[], int] = resident_bytes
    ) -> None:
        """A limit of 0 means none."""
        self._lag_limit_s, self._memory_limit, self._resident = lag_limit_s, memory_limit_bytes, resident
        self.lag_s = 0.0
        """How late the latest tick was."""
        self._before_s = 0.0
        self._memory = 0

    def __call__(self) -> str | None:
        """Why the process is overloaded, or None."""
        max_s = self._lag_limit_s
        if max_s and self.lag_s > max_s and self._before_s > max_s:
            return "the event loop is late"
        if self._memory_limit and self._memory > self._memory_limit:
            return "too much memory is in use"
        return None

    async def watch(self) -> None:
        """Measure again and again; never returns."""
        loop = asyncio.get_running_loop()
        ticks = 0
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._before_s, self.lag_s = self.lag_s, max(loop.time() - due, 0.0)
            if ticks % TICKS_PER_LOOK == 0:
                self._memory = self._resident()
            ticks += 1
