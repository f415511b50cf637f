"""Programs started by tests do not outlive the test run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.sipp.edge_process import ROOT
from tests.sipp.process import until

STARTER = """
import sys, time
from pathlib import Path
from tests.sipp.process import Process
print(Process(["sleep", "600"], Path(sys.argv[1]), cwd=Path("/")).pid, flush=True)
time.sleep(600)
"""


def test_a_program_ends_when_its_parent_process_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "said")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        until(lambda: named(pid) == "sleep", "the program runs")
        tests.kill()
    until(lambda: named(pid) != "sleep", "the program has ended")


def named(pid: int) -> str | None:
    """The command running under a process id; None if there is none, or only a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    name, _, rest = state.partition("(")[2].rpartition(")")
    return None if rest.split()[0] in "XZ" else name
