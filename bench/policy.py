"""The cost of a policy with many contacts and patterns, measured in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ONCE: Final = ROOT / "bench" / "policy_once.py"


def policy() -> tuple[float, float]:
    """Return CPU microseconds per call for the most expensive kind of caller, and MiB of memory."""
    ran = subprocess.run(
        [sys.executable, "-P", str(ONCE)],
        capture_output=True, text=True, timeout=120, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    a_call, memory = map(float, ran.stdout.split())
    return a_call, memory
