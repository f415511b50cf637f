"""Scans of a running edge by sipvicious: from an unknown address it cannot even tell that the edge exists."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers import BaresipListener
from tests.sipp.edge_process import HOST, EdgeProcess
from tests.sipp.ports import free_port
from tests.sipp.process import installed

pytestmark = pytest.mark.network

TRUNK, STRANGER = "127.0.0.2", "127.0.0.66"
LIMIT_S = 60.0
FOUND_NOTHING = "found nothing"
NEVER_BANNED = "ban_s = 0"


@pytest.fixture(scope="module")
def closed(
    agent_listener: BaresipListener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    """An edge that bans nobody, so only its silence hides it; the scans do not come from its trunk."""
    folder = tmp_path_factory.mktemp("closed")
    with EdgeProcess(folder, agent_listener, host=HOST, trunk=TRUNK, limits=NEVER_BANNED) as edge:
        yield edge
        assert " error " not in edge.printed, edge.printed


def scan(edge: EdgeProcess, folder: Path, program: str, *options: str) -> str:
    """Run one program of sipvicious to its end; returns its output."""
    done = subprocess.run(
        [installed(program, "sipvicious"), "-p", str(edge.port), *options, HOST],
        capture_output=True, text=True, timeout=LIMIT_S, cwd=folder, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    return done.stdout + done.stderr


def at(source: str) -> list[str]:
    """Options that make svmap send from an address; svwar and svcrack always use the machine's own."""
    return ["-b", source, "-x", source, "-P", str(free_port())]


def datagrams_received(edge: EdgeProcess) -> int:
    """How many of the scanner's messages the edge has received."""
    return sum(one["messages"] for one in edge.health["strangers"])


def test_svmap_finds_the_edge_from_a_trunks_address_but_not_its_software(
    closed: EdgeProcess, tmp_path: Path
) -> None:
    said = scan(closed, tmp_path, "svmap", *at(TRUNK))
    assert f"{HOST}:{closed.port}" in said
    assert "unknown" in said, "what we run is not told"


@pytest.mark.parametrize("method", ["OPTIONS", "INVITE", "REGISTER"])
def test_svmap_finds_nothing_from_an_unknown_address(
    closed: EdgeProcess, tmp_path: Path, method: str
) -> None:
    before = datagrams_received(closed)
    said = scan(closed, tmp_path, "svmap", *at(STRANGER), "-m", method)
    assert FOUND_NOTHING in said
    assert str(closed.port) not in said
    assert datagrams_received(closed) > before, "the scan did not come through"


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_svwar_finds_no_extension_and_no_server(closed: EdgeProcess, tmp_path: Path, method: str) -> None:
    before = datagrams_received(closed)
    said = scan(closed, tmp_path, "svwar", "-e", "100-105", "-m", method, "--force", "--maximumtime=3")
    assert FOUND_NOTHING in said
    assert "| 10" not in said
    assert datagrams_received(closed) > before, "the scan did not come through"


def test_svcrack_finds_no_password_and_no_server(closed: EdgeProcess, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("secret\n1234\n100\n", encoding="ascii")
    before = datagrams_received(closed)
    said = scan(closed, tmp_path, "svcrack", "-u", "100", "-d", str(words), "--maximumtime=3")
    assert FOUND_NOTHING in said
    assert "unknown response" not in said
    assert datagrams_received(closed) > before, "the scan did not come through"


def test_a_scanner_is_banned_at_once_but_a_trunk_address_that_scans_is_not(
    agent_listener: BaresipListener, tmp_path: Path
) -> None:
    with EdgeProcess(tmp_path, agent_listener, host=HOST, trunk=TRUNK) as edge:
        scan(edge, tmp_path, "svmap", *at(STRANGER))
        [stranger] = edge.health["strangers"]
        assert (edge.health["banned"], stranger["source"], stranger["banned"]) == (1, STRANGER, True)
        assert 'source banned source=127.0.0.66 because="scanner ignored"' in edge.printed
        assert f"{HOST}:{edge.port}" in scan(edge, tmp_path, "svmap", *at(TRUNK))
        assert edge.health["banned"] == 1


def test_svwar_finds_no_extension_from_a_trunks_address(edge: EdgeProcess, tmp_path: Path) -> None:
    """A caller behind a trunk gets 404 for every number that is not configured."""
    said = scan(edge, tmp_path, "svwar", "-e", "100-105", "-m", "INVITE", "--maximumtime=3")
    assert FOUND_NOTHING in said
    assert "| 10" not in said
