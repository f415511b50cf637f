from __future__ import annotations

import socket
import subprocess
import sys

from tests.sipp import ports
from tests.sipp.edge_process import ROOT

CLAIM = "import sys; from tests.sipp.ports import _claimed; print(_claimed(range(*map(int, sys.argv[1:]))))"


def claimed_elsewhere(first: int, end: int) -> bool:
    """Whether another run could have these."""
    command = [sys.executable, "-c", CLAIM, str(first), str(end)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout == "True\n"


def test_what_is_handed_out_belongs_to_no_other_run() -> None:
    first = ports.free_block(10)
    assert not claimed_elsewhere(first, first + 10)
    assert not claimed_elsewhere(first + 9, first + 10), "not one of them"


def test_a_block_is_even_and_handed_out_once() -> None:
    blocks = [ports.free_block(4) for _ in range(50)]
    assert all(first % 2 == 0 for first in blocks)
    assert len({port for first in blocks for port in range(first, first + 4)}) == 200


def test_a_port_that_somebody_has_is_not_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", 0))
        assert not ports._free(holder.getsockname()[1])
