"""What every test with foreign user agents stands on: the edge, its peers, and that nothing is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers import AgentDoor, Peers
from tests.interop.protected import POLICIES
from tests.sipp.edge_process import COMMAND, HOST, EdgeProcess

# pjsua2-python has no wheel for Python 3.13: there is nothing to collect there.
PJSUA = ["test_pjsua.py", "test_pjsua_direct.py", "test_pjsua_srtp.py"]
collect_ignore = PJSUA if sys.version_info >= (3, 13) else []


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> AgentDoor:
    return AgentDoor(tmp_path_factory.mktemp("door"))


@pytest.fixture(scope="module")
def edge(
    door: AgentDoor, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[EdgeProcess]:
    """A module may have a MODE, NUMBER, LEVEL and SCREENDOOR of its own; one of EITHER_POLICY has SRTP by
    each. Audio goes as shipped: by the kernel, where that may be had.
    """
    mode, command = getattr(request.module, "MODE", "auto"), getattr(request.module, "SCREENDOOR", COMMAND)
    number, level = getattr(request.module, "NUMBER", ""), getattr(request.module, "LEVEL", "info")
    srtp = POLICIES[getattr(request, "param", "off")]
    # baresip finds no localhost: it asks name servers, and no hosts file.
    folder = tmp_path_factory.mktemp("edge")
    with EdgeProcess(
        folder, door, host=HOST, mode=mode, srtp=srtp, number=number, level=level, screendoor=command
    ) as edge:
        yield edge


@pytest.fixture
def required(edge: EdgeProcess) -> bool:
    """Whether its agent and its trunk must speak SRTP."""
    return 'srtp = "require"' in (edge.folder / "screendoor.toml").read_text()


@pytest.fixture
def peers(edge: EdgeProcess, door: AgentDoor, tmp_path: Path) -> Iterator[Peers]:
    with Peers(edge, door, tmp_path) as peers:
        yield peers
        peers.assert_clean()
