"""SIPp on both sides of the middle box: who calls, and who is called."""

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
"""SIPp writes what it has counted so often."""
PATIENCE_S: Final = 15.0

_runs = itertools.count(1)


class Sipp(Program):
    """One SIPp, counting; ended when its block is left."""

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
        """What it has counted, at most a second ago."""
        if not self._statistics.exists():
            return Tally()
        return Tally.read(self._statistics.read_text(encoding="ascii", errors="replace"))


class Callee(Sipp):
    """Takes every call; its Contact names `contact_port` where somebody stands before it."""

    def __init__(
        self, folder: Path, port: int, *, transport: str = "udp", contact_port: int | None = None,
        contact_param: str = "", core: int | None = None,
    ) -> None:  # fmt: skip
        keys = ["-key", "contact_port", str(contact_port or port), "-key", "contact_param", contact_param]
        super().__init__("callee", folder, port, transport, keys, core)
        self.listens(transport, port)

    def settled(self) -> Tally:
        """What it has counted, once that can be read in its statistics."""
        time.sleep(STATISTICS_S + 0.3)
        return self.tally


class Caller(Sipp):
    """Makes `calls` calls to `remote`, `rate` of them a second."""

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
        """It gives up `patience_s` after the last call should have been over."""
        self._limit_s = calls / rate + hold_ms / 1000 + patience_s
        options = (
            f"{HOST}:{remote} -r {rate} -m {calls} -l {calls} -d {hold_ms} -timeout {self._limit_s:.0f}s"
        )
        super().__init__("caller", folder, free_port(), "udp", options.split(), core)

    def finish(self) -> Tally:
        """Wait until all its calls are over; it is stopped if they never are."""
        self.wait(self._limit_s + 5)
        self.stop()
        return self.tally
