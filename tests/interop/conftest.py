"""Fixtures of the interop tests: the edge, its peers, and the check that no call is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers import BaresipListener, Peers
from tests.interop.protected import POLICIES
from tests.sipp.edge_process import COMMAND, HOST, EdgeProcess

# pjsua2-python has no wheel for Python 3.13: do not collect its tests there.
PJSUA = ["test_pjsua.py", "test_pjsua_direct.py", "test_pjsua_srtp.py"]
collect_ignore = PJSUA if sys.version_info >= (3, 13) else []


@pytest.fixture(scope="module")
def agent_listener(tmp_path_factory: pytest.TempPathFactory) -> BaresipListener:
    return BaresipListener(tmp_path_factory.mktemp("listener"))


@pytest.fixture(scope="module")
def edge(
    agent_listener: BaresipListener, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[EdgeProcess]:
    """An edge per module, which may set MODE, NUMBER, LEVEL and SCREENDOOR; with EITHER_POLICY, one per SRTP
    policy. The default mode is the shipped one: the kernel forwards audio where it can.
    """
    mode, command = getattr(request.module, "MODE", "auto"), getattr(request.module, "SCREENDOOR", COMMAND)
    number, level = getattr(request.module, "NUMBER", ""), getattr(request.module, "LEVEL", "info")
    srtp = POLICIES[getattr(request, "param", "off")]
    # baresip cannot resolve localhost: it asks name servers only, not the hosts file.
    folder = tmp_path_factory.mktemp("edge")
    with EdgeProcess(
        folder,
        agent_listener,
        host=HOST,
        mode=mode,
        srtp=srtp,
        number=number,
        level=level,
        screendoor=command,
    ) as edge:
        yield edge


@pytest.fixture
def required(edge: EdgeProcess) -> bool:
    """Whether the edge requires SRTP of its agent and its trunk."""
    return 'srtp = "require"' in (edge.folder / "screendoor.toml").read_text()


@pytest.fixture
def peers(edge: EdgeProcess, agent_listener: BaresipListener, tmp_path: Path) -> Iterator[Peers]:
    with Peers(edge, agent_listener, tmp_path) as peers:
        yield peers
        peers.assert_clean()
