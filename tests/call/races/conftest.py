"""Runs every race test on every leg, on a good network (seed 0) and on a bad one."""

from __future__ import annotations

import pytest

from tests.kit.races import LEGS

SEEDS = [0, 1, 2, 3]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `leg` with the three legs and `seed` with the network conditions."""
    if "leg" in metafunc.fixturenames and not _given(metafunc, "leg"):
        metafunc.parametrize("leg", LEGS)
    if "seed" in metafunc.fixturenames and not _given(metafunc, "seed"):
        metafunc.parametrize("seed", SEEDS)


def _given(metafunc: pytest.Metafunc, name: str) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    named = (mark.args[0] for mark in marks)
    return any(name in (each.split(",") if isinstance(each, str) else each) for each in named)
