from __future__ import annotations

import socket
import subprocess
import sys

from tests.sipp import ports
from tests.sipp.edge_process import ROOT

OURS = "import sys; from tests.sipp.ports import _ours; print(_ours(range(*map(int, sys.argv[1:]))))"


def ours_elsewhere(first: int, end: int) -> bool:
    """Whether another test run could reserve these ports."""
    command = [sys.executable, "-c", OURS, str(first), str(end)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout == "True\n"


def test_an_allocated_block_is_locked_against_other_test_runs() -> None:
    first = ports.free_block(10)
    assert not ours_elsewhere(first, first + 10)
    assert not ours_elsewhere(first + 9, first + 10), "not one of them"


def test_blocks_start_at_an_even_port_and_never_overlap() -> None:
    blocks = [ports.free_block(4) for _ in range(50)]
    assert all(first % 2 == 0 for first in blocks)
    assert len({port for first in blocks for port in range(first, first + 4)}) == 200


def test_a_bound_port_is_not_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", 0))
        assert not ports._free(holder.getsockname()[1])


def test_ports_and_blocks_are_allocated_from_the_area_for_their_size() -> None:
    places = [place for _, _, place in ports.AREAS]
    assert all(ports.free_port() in places[0] for _ in range(50))
    assert all(ports.free_block(16) in places[1] for _ in range(10))
    first, second = ports.free_block(200), ports.free_block(200)
    assert first in places[2]
    assert (first - second) % 200 == 0


def test_a_block_with_a_bound_port_is_not_allocated_and_stays_unlocked() -> None:
    first = ports.free_block(10)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", first + 5))
        assert not ports._ours(range(first, first + 10))
    assert ours_elsewhere(first, first + 10)
