"""The measures of screened calls: decision to INVITE, webhook to accept, and 200 calls at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.accounting import percentile
from bench.rig import PEERS_CORE
from bench.systems import US
from bench.trials import Trials

ROOT: Final = Path(__file__).parents[1]
TRANSFERS: Final = ("local", "refer")
CROWD: Final = 200


def decision(trials: Trials) -> None:
    """From the tool call to the phone's INVITE, with both transfers; and from the webhook to ``/accept``."""
    accepted: list[float] = []
    calls = 100 if trials.quick else 500
    for transfer in TRANSFERS:
        with trials.trying(f"decision-{transfer}", US):
            pinned = ["taskset", "-c", str(PEERS_CORE)]
            said = _said([*pinned, sys.executable, "-m", "bench.decision_once", transfer, str(calls)])
            for name, share in (("50", 0.5), ("99", 0.99)):
                trials.note(f"decision-{transfer}-{name}", US, percentile(said["decision"], share))
            accepted += said["accept"]
    if accepted:
        trials.note("accept-50", US, percentile(accepted, 0.5))
        trials.note("accept-99", US, percentile(accepted, 0.99))


def crowd(trials: Trials) -> None:
    """Many screened calls at once, each with its own script."""
    with trials.trying("crowd-screened", US):
        said = _said([sys.executable, "-m", "bench.crowd", str(CROWD)])
        trials.note("crowd-screened", US, said["as_scripted"])
        trials.note("crowd-left", US, said["left_over"])
        for problem in said["problems"]:
            trials.book.remark(f"200 screened calls: {problem}")


def _said(command: list[str]) -> Any:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(ran.stdout)
