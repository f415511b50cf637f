"""Microseconds to parse and serialise one INVITE: ours beside sipmessage, each in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Final

from bench.peers import venv

ROOT: Final = Path(__file__).parents[1]
ONCE: Final = ROOT / "bench" / "parse_once.py"
INVITE: Final = ROOT / "bench" / "messages" / "invite.sip"
TURNS: Final = 3


def parse() -> tuple[float, float]:
    """Return ours and sipmessage's, as medians of several turns."""
    turns = [
        (_once(sys.executable, "screendoor"), _once(venv.program("python"), "sipmessage"))
        for _ in range(TURNS)
    ]
    ours, theirs = zip(*turns, strict=True)
    return median(ours), median(theirs)


def _once(python: str, whose: str) -> float:
    ran = subprocess.run(
        [python, "-P", str(ONCE), whose, str(INVITE)],
        capture_output=True, text=True, timeout=60, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return float(ran.stdout)
