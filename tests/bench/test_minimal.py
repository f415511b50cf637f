"""The minimal B2BUA in Python, the yardstick of the benchmarks, carries real calls."""

from __future__ import annotations

from bench.peers.minimal import Minimal
from bench.rig import rig


def test_sipp_calls_through_the_minimal_b2bua_end_well_on_both_sides() -> None:
    with rig(Minimal) as stand:
        run = stand.load(50, 1)
    assert (run.caller.good, run.callee.good) == (50, 50)
    assert run.trouble == 0
