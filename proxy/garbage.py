"""When the garbage collector may look: for a moment at what is new, at all the rest when no call is going on.

A call leaves nothing that it would have to find (`Leg._let_go`), yet every call waits while it looks: some
40 ms for 100,000 objects, and so many stand of a thousand calls for the 32 s of their last timers.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG_OBJECTS = 2_000
"""New objects before the youngest are looked through, for less than a millisecond."""
NEVER = 1_000_000_000
QUIET_S = 60.0
"""How often we see whether it is quiet enough to look through everything."""
LATEST_S = 900.0
"""After so long it is done in the midst of calls."""


def spare_the_calls() -> None:
    """What stands now stands until we stop, and need not be looked at again; the older new things wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, NEVER, NEVER)


async def collect_in_quiet(calls: Callable[[], int]) -> None:
    """Look through everything when `calls` says that there are none, or it is high time; never returns."""
    loop = asyncio.get_running_loop()
    late = loop.time() + LATEST_S
    while True:
        await asyncio.sleep(QUIET_S)
        if calls() == 0 or loop.time() >= late:
            gc.collect()
            late = loop.time() + LATEST_S
