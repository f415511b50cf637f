"""Measures how much a middle box under load delays an INVITE and its answer."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.accounting import percentile
from bench.rig import PEERS_CORE, MakeBox, rig
from bench.sipp import Caller
from tests.sipp.ports import free_port

ROOT: Final = Path(__file__).parents[1]
BESIDE: Final = 300
"""Calls per second of SIPp's background load."""
PROBED: Final = 40
"""Calls per second of the probe."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds since the caller sent its INVITE, at the 50th and the 99th percentile."""

    arrived: tuple[float, float]
    """Until the INVITE reaches the callee."""
    rang: tuple[float, float]
    """Until a 180 reaches the caller: the callee's, or one that a B2BUA generates itself."""
    answered: tuple[float, float]
    """Until the callee's 200 reaches the caller."""
    lost: int
    """Calls of the probe that were never answered."""

    def __sub__(self, direct: Latency) -> Latency:
        arrived, rang, answered = (
            (mine[0] - its[0], mine[1] - its[1]) for mine, its in zip(self.spans, direct.spans, strict=True)
        )
        return Latency(arrived, rang, answered, self.lost)

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """All three, in the order of a call."""
        return self.arrived, self.rang, self.answered


def through(make: MakeBox, seconds: float) -> Latency:
    """Measure calls through a middle box."""
    port = free_port()
    with rig(make, probe=port) as stand:
        stand.warm(BESIDE)
        with stand.calls(BESIDE, seconds + 3):
            return probed(stand.place.near, port, seconds)


def direct(make: MakeBox, seconds: float) -> Latency:
    """Measure the same two ends without it; the box made by `make` stays idle, so that all else is equal."""
    port = free_port()
    with rig(make) as stand, ExitStack() as stack:
        place, calls = stand.place, round(BESIDE * (seconds + 3))
        stack.enter_context(Caller(place.folder, place.far, rate=BESIDE, calls=calls, core=PEERS_CORE))
        return probed(port, port, seconds)


def probed(near: int, port: int, seconds: float) -> Latency:
    """Probe calls to the user `probe` at `near`, received at `port`; AssertionError if none is answered."""
    command = [sys.executable, "-m", "bench.probe", str(near), str(port), str(PROBED), str(seconds)]
    ran = subprocess.run(
        ["taskset", "-c", str(PEERS_CORE), *command],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 20, check=True,
    )  # fmt: skip
    said = json.loads(ran.stdout)
    assert said["answered"], f"none of the probe's {said['calls']} calls was answered"
    arrived, rang, answered = (_milliseconds(said[name]) for name in ("arrived", "rang", "answered"))
    return Latency(arrived, rang, answered, said["calls"] - len(said["answered"]))


def _milliseconds(spans_us: list[float]) -> tuple[float, float]:
    return percentile(spans_us, 0.5) / 1000, percentile(spans_us, 0.99) / 1000
