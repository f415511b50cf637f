"""What an open call costs in memory: both its legs, after all transactions of its set-up are forgotten."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Final

from bench.rig import MakeBox, rig

RATE: Final = 150
SETTLE_S: Final = 36
"""Transactions live for 64·T1 = 32 s (RFC 6026 §8.7, RFC 3261 §17); what remains then is the call's."""
ENOUGH: Final = 0.98
"""So many of the calls must have come to stand; the others, if any, are not counted."""
HOLD_MS: Final = 600_000
FILES_OF_A_CALL: Final = 4
"""Ours binds RTP and RTCP for each leg; the others bind none."""
SPARE_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set size of all processes of the middle box, in KiB."""

    calls: int
    idle: int
    """After some calls that are over."""
    full: int

    @property
    def per_call(self) -> float:
        """KiB an open call takes, both legs."""
        return (self.full - self.idle) / self.calls


def max_calls(wanted: int) -> int:
    """So many of the calls wanted as the limit of open files allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, (most - SPARE_FILES) // FILES_OF_A_CALL)


def memory(make: MakeBox, calls: int) -> Memory:
    """Open `calls` calls and look; AssertionError if too few come to stand."""
    with rig(make, calls=calls + 100) as stand:
        stand.warm(RATE, 2)
        before, idle = stand.callee.settled(), stand.box.pss_kib
        with stand.calls(RATE, calls / RATE, hold_ms=HOLD_MS) as caller:
            time.sleep(calls / RATE + SETTLE_S)
            full = stand.box.pss_kib
            taken = stand.callee.settled() - before
            standing = taken.created - taken.failed - taken.good
            assert standing >= ENOUGH * calls, f"{calls} calls wanted, {standing} stood: {taken}"
            caller.kill()
        return Memory(standing, idle, full)
