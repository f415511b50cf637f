"""The benchmark of unauthorized traffic: every kind runs, is cheap, and holds little memory."""

from __future__ import annotations

import pytest

from bench.strangers import KINDS, measure

pytestmark = pytest.mark.network

GENEROUS_US = 2000.0
"""Not a benchmark bound: only shows that nothing blocks. In microseconds."""


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_stranger_costs_little_cpu_and_memory(kind: str) -> None:
    each_us, held_kib = await measure(KINDS[kind], 300)
    assert 0 < each_us < GENEROUS_US
    assert held_kib < 4096
