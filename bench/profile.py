"""``make bench ARGS=--profile``: a profile of Screendoor's own CPU time at one rate.

cProfile counts every call and slows each down, short ones most. py-spy samples a thousand times a second,
which keeps the proportions, but needs permission to inspect another process.
"""

from __future__ import annotations

import argparse
import pstats
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from bench.peers import venv
from bench.peers.screendoor import Screendoor
from bench.rig import Rig, rig

LOOKS_PER_S: Final = 1000

UNDER_CPROFILE: Final = """\
import cProfile
from proxy.cli import main
profile = cProfile.Profile()
profile.enable()
try:
    main(standalone_mode=False)
except SystemExit:
    pass
profile.disable()
profile.dump_stats({output!r})
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for `--profile`."""
    parser.add_argument("--profile", nargs="?", const="cprofile", choices=["cprofile", "py-spy", "none"])
    parser.add_argument("--rate", type=int, default=500, help="of the profile, calls a second")
    parser.add_argument("--seconds", type=float, default=6, help="of the profile")
    parser.add_argument("--tls", action="store_true", help="profile UDP→TLS")
    parser.add_argument("--lines", type=int, default=40, help="of the profile")


def profile(given: argparse.Namespace) -> None:
    """Load Screendoor, and print the most expensive functions; "none" prints the cost per call alone."""
    with tempfile.TemporaryDirectory(prefix="screendoor-bench-") as name:
        output = Path(name) / "profile"
        under = (sys.executable, "-c", UNDER_CPROFILE.format(output=str(output)))
        make = partial(Screendoor, run=under) if given.profile == "cprofile" else Screendoor
        with rig(make, secure=given.tls) as ours:
            ours.warm(200)
            if given.profile == "py-spy":
                _watched(ours, given, output)
            else:
                _load(ours, given)
                ours.box.signal(signal.SIGTERM)
                ours.box.wait(30)
        if given.profile == "cprofile":
            pstats.Stats(str(output)).strip_dirs().sort_stats("tottime").print_stats(given.lines)
        elif given.profile == "py-spy":
            print(own_time(output.read_text(encoding="utf-8"), given.lines))


def _load(ours: Rig, given: argparse.Namespace) -> None:
    run = ours.load(given.rate, given.seconds)
    print(f"caller {run.caller}\ncallee {run.callee}")
    print(f"{run.cpu_ms:.3f} CPU-ms per call at {given.rate}/s")


def _watched(ours: Rig, given: argparse.Namespace, output: Path) -> None:
    command = [venv.program("py-spy"), "record", "--pid", str(ours.box.pid), "--rate", str(LOOKS_PER_S)]
    command += ["--duration", str(round(given.seconds)), "--format", "raw", "--output", str(output)]
    watching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _load(ours, given)
        _, said = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert output.exists(), f"py-spy could not look: {said}"


def own_time(stacks: str, lines: int) -> str:
    """Format the functions sampled most often: as innermost frame, and anywhere on the stack."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, _, count in (line.rpartition(" ") for line in stacks.splitlines()):
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    looks = max(own.total(), 1)
    rows = [
        f"{100 * n / looks:6.1f} {100 * whole[frame] / looks:6.1f}  {frame}"
        for frame, n in own.most_common(lines)
    ]
    return "\n".join(["  own %  all %  function", *rows])
