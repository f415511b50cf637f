"""SIPp on both sides of the middle box, as caller and as callee."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.accounting import Tally
from bench.process import Program
from tests.sipp.ports import free_port
from tests.sipp.process import installed

SCENARIOS: Final = Path(__file__).parent / "scenarios"
HOST: Final = "127.0.0.1"
HOLD_MS: Final = 200
STATISTICS_S: Final = 1
"""Interval in which SIPp writes its statistics."""
PATIENCE_S: Final = 15.0

_runs = itertools.count(1)


class Sipp(Program):
    """A SIPp process with statistics; ended when its block is left."""

    def __init__(
        self, scenario: str, folder: Path, port: int, transport: str, options: Sequence[str], core: int | None
    ) -> None:
        self._statistics = folder / f"{scenario}-{next(_runs)}.csv"
        command = [installed("sipp", "sip-tester"), *options]
        command += ["-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", HOST, "-p", str(port), "-mi", HOST]
        command += ["-t", "t1" if transport == "tcp" else "u1", "-nostdin", "-buff_size", str(4 << 20)]
        command += ["-ci", HOST, "-cp", str(free_port()), "-mp", str(free_port())]
        command += ["-trace_stat", "-stf", str(self._statistics), "-fd", str(STATISTICS_S)]
        super().__init__(command, self._statistics.with_suffix(".screen"), cwd=folder, core=core)

    @property
    def tally(self) -> Tally:
        """Its counters, at most a second old."""
        if not self._statistics.exists():
            return Tally()
        return Tally.read(self._statistics.read_text(encoding="ascii", errors="replace"))


class Callee(Sipp):
    """Answers every call; its Contact names `contact_port` if something is in front of it."""

    def __init__(
        self, folder: Path, port: int, *, transport: str = "udp", contact_port: int | None = None,
        contact_param: str = "", core: int | None = None,
    ) -> None:  # fmt: skip
        keys = ["-key", "contact_port", str(contact_port or port), "-key", "contact_param", contact_param]
        super().__init__("callee", folder, port, transport, keys, core)
        self.wait_for_port(transport, port)

    def settled(self) -> Tally:
        """Return its counters once they have been written."""
        time.sleep(STATISTICS_S + 0.3)
        return self.tally


class Caller(Sipp):
    """Places `calls` calls to `remote`, at `rate` per second."""

    def __init__(
        self,
        folder: Path,
        remote: int,
        *,
        rate: int,
        calls: int,
        hold_ms: int = HOLD_MS,
        patience_s: float = PATIENCE_S,
        core: int | None = None,
    ) -> None:
        """It gives up `patience_s` after the last call should have ended."""
        self._limit_s = calls / rate + hold_ms / 1000 + patience_s
        options = (
            f"{HOST}:{remote} -r {rate} -m {calls} -l {calls} -d {hold_ms} -timeout {self._limit_s:.0f}s"
        )
        super().__init__("caller", folder, free_port(), "udp", options.split(), core)

    def finish(self) -> Tally:
        """Wait until all its calls are over, or its time limit; returns the counters."""
        self.wait(self._limit_s + 5)
        self.stop()
        return self.tally
