"""Load on one middle box: cost per answered call, and runs that yield no measurement."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.accounting import Tally
from bench.place import Place
from bench.rig import Rig


class ScriptedRig(Rig):
    """A rig whose callers report a given tally at once; each answered call costs 2 ms of CPU."""

    def __init__(self, counted: Tally) -> None:
        self._counted, spent = counted, iter((1.0, 1.0 + counted.good * 0.002))

        class Box:
            @property
            def cpu_s(self) -> float:
                return next(spent)

        callee = SimpleNamespace(settled=lambda: Tally())
        super().__init__(Place(Path(), 1, 2, False, None, 0, 1), cast(Any, callee), cast(Any, Box()))

    def calls(self, rate: int, seconds: float, **options: Any) -> Any:
        return nullcontext(SimpleNamespace(finish=lambda: self._counted))


def test_cpu_cost_is_divided_by_answered_calls_only() -> None:
    run = ScriptedRig(Tally(created=600, good=500, failed=100)).load(200, 3)
    assert run.cpu_ms == pytest.approx(2.0)
    assert run.trouble == pytest.approx(100 / 600)


def test_load_without_any_call_is_an_error() -> None:
    with pytest.raises(AssertionError, match="SIPp has made no call"):
        ScriptedRig(Tally()).load(200, 3)
