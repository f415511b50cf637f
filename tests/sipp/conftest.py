"""Fixtures of the SIPp tests: the edge, its peers, and the check that no call is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sipp.edge_process import EdgeProcess, Gate
from tests.sipp.house import House


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


@pytest.fixture(scope="module")
def edge(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    """One edge shared by all tests that need no settings of their own."""
    with EdgeProcess(tmp_path_factory.mktemp("edge"), gate) as edge:
        yield edge


@pytest.fixture
def house(edge: EdgeProcess, gate: Gate, tmp_path: Path) -> Iterator[House]:
    with House(edge, gate, tmp_path) as house:
        yield house
        house.assert_clean()
