"""The call probe completes its own calls, and is fast over an idle direct path."""

from __future__ import annotations

import pytest

from bench.accounting import Tally
from bench.probe import Probe
from bench.profile import own_time
from bench.rig import Run
from bench.sustained import succeeded
from tests.sipp.ports import free_port


@pytest.mark.network
def test_direct_calls_arrive_ring_and_are_answered_in_order() -> None:
    port = free_port()
    probe = Probe(port, port)
    probe.run(rate=50, seconds=0.2)
    assert len(probe.calls) == 10
    for call in probe.calls.values():
        assert call.arrived is not None
        assert call.rang is not None
        assert call.answered is not None
        assert call.sent < call.arrived < call.rang < call.answered


@pytest.mark.parametrize(
    ("good", "resent", "elapsed_s", "verdict"),
    [(6000, 5, 6.3, True), (6000, 6, 6.3, False), (5999, 0, 6.3, False), (6000, 0, 8.0, False)],
)
def test_rate_succeeds_with_at_most_one_in_a_thousand_troubled_and_in_time(
    good: int, resent: int, elapsed_s: float, verdict: bool
) -> None:
    run = Run(
        0.5, Tally(6000, good, 6000 - good, 2), Tally(6000, good, 0, resent - 2 if resent else -2), elapsed_s
    )
    assert succeeded(run, 6) is verdict


def test_own_time_is_attributed_to_the_innermost_function() -> None:
    stacks = "run (app.py:1);parse (uri.py:30) 3\nrun (app.py:1);parse (uri.py:34) 3\nrun (app.py:2) 2\n"
    assert own_time(stacks, 2).splitlines()[1:] == [
        "  75.0   75.0  parse (uri.py)",
        "  25.0  100.0  run (app.py)",
    ]
