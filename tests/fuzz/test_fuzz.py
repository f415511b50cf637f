"""Runs each parser's fuzz target for a few seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
TARGETS = [
    "message", "stream", "sdp", "digest", "sipfrag", "values", "body", "sdes", "wav", "packets", "verstat",
    "passport",
]  # fmt: skip
RUNS, MAX_S = 20_000, 5


def run(target: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / f"{target}.py"), f"-artifact_prefix={folder}/", *options]
    return subprocess.run(
        command, capture_output=True, cwd=folder, errors="replace", timeout=100, check=False
    )


@pytest.mark.parametrize("target", TARGETS)
def test_parser_returns_a_value_or_raises_its_own_error(target: str, tmp_path: Path) -> None:
    done = run(target, tmp_path, f"-runs={RUNS}", f"-max_total_time={MAX_S}", "-max_len=4096", "-seed=4475")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Done " in done.stderr, done.stderr[-1000:]


def test_every_fuzz_target_is_listed() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"conftest", "test_fuzz", "test_malformed_invites"}
    assert files == {*TARGETS, "target"}
