"""Runs Python's cyclic garbage collector while no call is in progress, or when garbage piles up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

CHECK_INTERVAL_S = 1.0
"""Interval between checks of how many objects were allocated and not freed."""
IDLE_CHECK_S = 60.0
"""Interval between checks for a moment without calls, for a full collection."""
MAX_DELAY_S = 900.0
"""A full collection runs after this long even while calls are in progress."""
GARBAGE_OBJECTS, OBJECTS_PER_CALL, OBJECTS_PER_TRANSACTION = 20_000, 500, 25
"""Thresholds for garbage: if the objects allocated and not freed since the last collection exceed the first,
plus the other two for each additional call and transaction, the youngest generation is collected."""


def disable_automatic_collection() -> None:
    """Turn automatic collection off, and exempt all objects that exist now (they live until we stop)."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def collect_when_idle(calls: Callable[[], int], transactions: Callable[[], int]) -> None:
    """Run a full collection while there are no `calls`, or when it is overdue; never returns."""
    loop = asyncio.get_running_loop()
    looked = quiet = loop.time()
    before = calls(), transactions()
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        now, present = loop.time(), (calls(), transactions())
        due = now - looked >= MAX_DELAY_S
        if now - quiet >= IDLE_CHECK_S:
            quiet = now
            due = due or present[0] == 0
        if due:
            gc.collect()
            looked, before = now, present
        elif grown_objects() > GARBAGE_OBJECTS + _expected_growth(before, present):
            gc.collect(0)
            before = present


def _expected_growth(before: tuple[int, int], present: tuple[int, int]) -> int:
    """The number of objects expected from the calls and transactions added since `before`."""
    calls, transactions = (max(now - then, 0) for then, now in zip(before, present, strict=True))
    return OBJECTS_PER_CALL * calls + OBJECTS_PER_TRANSACTION * transactions


def grown_objects() -> int:
    """How many more container objects exist than after the last collection."""
    return gc.get_count()[0]
