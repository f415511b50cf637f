"""Finds the highest rate that a middle box on one core sustains almost without failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.rig import MakeBox, Run, rig

STEPS: Final = (200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000, 2400, 2800, 3200)
MAX_TROUBLE: Final = 0.001
"""Failures and retransmissions, as a share of the calls."""
SLACK_S: Final = 1.5
"""How much longer a run may take than its calls need: SIPp itself has to keep up."""

PATIENCE_S: Final = 3.0
"""Calls that are not over by then have failed anyway."""


def succeeded(run: Run, seconds: float) -> bool:
    """Whether a run of that duration succeeded."""
    whole = run.caller.good == run.caller.created > 0
    return whole and run.trouble < MAX_TROUBLE and run.elapsed_s < seconds + SLACK_S


def sustained(make: MakeBox, seconds: float, *, steps: Sequence[int] = STEPS, start: int = 800) -> int:
    """Return the rate in calls per second, one of `steps`; 0 if even the lowest fails.

    A step may be tried twice.
    """
    at = steps.index(start)
    if _holds(make, steps[at], seconds):
        while at + 1 < len(steps) and _holds(make, steps[at + 1], seconds):
            at += 1
        return steps[at]
    return next((rate for rate in reversed(steps[:at]) if _holds(make, rate, seconds)), 0)


def _holds(make: MakeBox, rate: int, seconds: float) -> bool:
    for _ in range(2):
        with rig(make) as stand:
            stand.warm(200)
            if succeeded(stand.load(rate, seconds, patience_s=PATIENCE_S), seconds):
                return True
    return False
