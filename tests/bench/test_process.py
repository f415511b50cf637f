"""Running, measuring and pausing a benchmarked program."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.process import Program
from tests.sipp.process import until


@pytest.mark.network
def test_stopped_program_resumes_when_the_block_is_left_by_an_exception(tmp_path: Path) -> None:
    with Program(["sh", "-c", "while :; do :; done"], tmp_path / "output", cwd=tmp_path) as program:
        with pytest.raises(ValueError, match="failed"), program.stopped():
            until(lambda: _state(program) == "T", "it stops")
            spent = program.cpu_s
            assert _state(program) == "T"
            raise ValueError("failed")
        until(lambda: _state(program) == "R", "it runs again")
        until(lambda: program.cpu_s > spent, "it works")


def _state(program: Program) -> str:
    return Path(f"/proc/{program.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
