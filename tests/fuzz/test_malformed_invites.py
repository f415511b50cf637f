"""A short run of the malformed INVITE bench: the server survives, answers, and logs no internal error."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

from bench.malformed import damaged

ROOT = Path(__file__).parents[2]


def test_server_survives_2000_malformed_invites() -> None:
    command = [sys.executable, "-m", "bench.fuzz_invites", "--count", "2000", "--rate", "1000"]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=100, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"malformed INVITEs +2000 ", done.stdout), done.stdout
    assert re.search(r"OPTIONS answered +21,", done.stdout), done.stdout
    statuses = {int(status) for status in re.findall(r"(\d{3}): ", done.stdout)}
    assert statuses >= {100, 180, 200, 400, 404, 415, 487}, done.stdout


def test_same_seed_makes_the_same_messages() -> None:
    first, again = ([damaged(n, dice) for n in range(200)] for dice in (random.Random(1), random.Random(1)))
    assert first == again
    assert len(set(first)) == 200
