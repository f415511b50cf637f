"""Every race on every leg, in fair weather (seed 0) and in bad."""

from __future__ import annotations

import pytest

from tests.kit.races import LEGS

SEEDS = [0, 1, 2, 3]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`leg` stands for each of the three, `seed` for each weather."""
    if "leg" in metafunc.fixturenames and not _given(metafunc, "leg"):
        metafunc.parametrize("leg", LEGS)
    if "seed" in metafunc.fixturenames and not _given(metafunc, "seed"):
        metafunc.parametrize("seed", SEEDS)


def _given(metafunc: pytest.Metafunc, name: str) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    named = (mark.args[0] for mark in marks)
    return any(name in (each.split(",") if isinstance(each, str) else each) for each in named)
