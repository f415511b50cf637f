"""Fixtures of the SIPp tests: the edge, its peers, and the check that no call is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sipp.edge_process import EdgeProcess, StunnelServer
from tests.sipp.sipp_peers import SippPeers


@pytest.fixture(scope="module")
def stunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StunnelServer]:
    with StunnelServer(tmp_path_factory.mktemp("stunnel")) as stunnel:
        yield stunnel


@pytest.fixture(scope="module")
def edge(stunnel: StunnelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    """One edge shared by all tests that need no settings of their own."""
    with EdgeProcess(tmp_path_factory.mktemp("edge"), stunnel) as edge:
        yield edge


@pytest.fixture
def peers(edge: EdgeProcess, stunnel: StunnelServer, tmp_path: Path) -> Iterator[SippPeers]:
    with SippPeers(edge, stunnel, tmp_path) as peers:
        yield peers
        peers.assert_clean()
