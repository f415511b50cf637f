"""When the garbage collector may look: when no call is going on, or when garbage seems to pile up.

A call leaves nothing that it would have to find (`Leg._let_go`), yet every call and every packet waits while
it looks: some 40 ms for 100,000 objects, and so many stand of a thousand calls for the 32 s of their last
timers. Even looks at the youngest alone were a twelfth of a call's time, and others waited for up to 17 ms.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

LOOK_S = 1.0
"""How often we see what has come and not gone."""
QUIET_S = 60.0
"""How often we see whether it is quiet enough to look through everything."""
LATEST_S = 900.0
"""After so long it is done in the midst of calls."""
PILE_OBJECTS, OF_A_CALL, OF_A_TRANSACTION = 20_000, 500, 25
"""If more objects have come and not gone since the last look than these, for each call and each transaction
more than there were then: that is garbage, and what came since is looked through."""


def spare_the_calls() -> None:
    """What stands now stands until we stop, and need not be looked at again; nothing is by itself."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def collect_in_quiet(calls: Callable[[], int], transactions: Callable[[], int]) -> None:
    """Look through everything when there are no `calls`, or it is high time; never returns."""
    loop = asyncio.get_running_loop()
    looked = quiet = loop.time()
    before = calls(), transactions()
    while True:
        await asyncio.sleep(LOOK_S)
        now, present = loop.time(), (calls(), transactions())
        due = now - looked >= LATEST_S
        if now - quiet >= QUIET_S:
            quiet = now
            due = due or present[0] == 0
        if due:
            gc.collect()
            looked, before = now, present
        elif grown_objects() > PILE_OBJECTS + _usual(before, present):
            gc.collect(0)
            before = present


def _usual(before: tuple[int, int], present: tuple[int, int]) -> int:
    """How many objects so many more calls and transactions have."""
    calls, transactions = (max(now - then, 0) for then, now in zip(before, present, strict=True))
    return OF_A_CALL * calls + OF_A_TRANSACTION * transactions


def grown_objects() -> int:
    """How many more objects there are, of those the collector looks at, than when it looked last."""
    return gc.get_count()[0]
