"""Memory per open call: both its legs, after all transactions of its set-up have expired."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Final

from bench.rig import MakeBox, rig

RATE: Final = 150
SETTLE_S: Final = 36
"""Transactions live for 64·T1 = 32 s (RFC 6026 §8.7, RFC 3261 §17); what remains after that is the call's
own."""
ENOUGH: Final = 0.98
"""The share of calls that must be established; failed ones are not counted."""
HOLD_MS: Final = 600_000
FILES_OF_A_CALL: Final = 4
"""Ours binds RTP and RTCP for each leg; the others bind none."""
SPARE_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set size of all processes of the middle box, in KiB."""

    calls: int
    idle: int
    """After some calls that have ended."""
    full: int

    @property
    def per_call(self) -> float:
        """KiB per open call, both legs."""
        return (self.full - self.idle) / self.calls


def max_calls(wanted: int) -> int:
    """How many of the wanted calls the limit on open files allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, (most - SPARE_FILES) // FILES_OF_A_CALL)


def memory(make: MakeBox, calls: int) -> Memory:
    """Open `calls` calls and measure; AssertionError if too few are established."""
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
