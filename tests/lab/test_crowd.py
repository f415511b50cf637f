"""200 concurrent screened calls in the lab: each ends as scripted and nothing leaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from proxy.call.outcome import Result
from proxy.lab.crowd import SCRIPTS, Crowd

pytestmark = pytest.mark.network


@pytest.mark.timeout(120)
async def test_200_concurrent_screened_calls_end_as_scripted_and_leave_nothing_behind() -> None:
    crowd = Crowd(200, seed=7)
    ended = await crowd.play()
    assert ended.problems == ()
    assert ended.left == ()
    assert ended.as_scripted == 200
    assert set(Counter(script.name for script in crowd.scripts)) == {script.name for script in SCRIPTS}
    talked = [crowd.records[n] for n, script in enumerate(crowd.scripts) if script.result is Result.BRIDGED]
    assert all(record.cost is not None for record in talked if record.trigger != "failure")


async def test_a_call_that_does_not_end_as_scripted_is_reported() -> None:
    crowd = Crowd(2, seed=7)
    crowd.scripts = [
        replace(each, result=Result.CUT) for each in SCRIPTS if each.name == "the caller cancels"
    ] * 2
    ended = await crowd.play()
    assert ended.as_scripted == 0
    assert ended.problems[0].startswith("the caller cancels: caller left by None")
