"""Runs SIPp as a peer of the edge: a scenario, its result, and its logs."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.sipp.ports import free_block, free_port
from tests.sipp.process import Process, installed

SCENARIOS = Path(__file__).parent / "scenarios"
HOST: Final = "127.0.0.1"
LIMIT_S = 40
"""SIPp gives up and fails after this time, in seconds."""
LAST_LINES = 120
"""Lines of the message log shown for a failed run."""

_runs = itertools.count(1)


class Sipp(Process):
    """One SIPp process: calls the port `remote`, or waits for calls if None; it ends after `calls` calls.

    `keys`: values of the scenario's own bracketed keywords.
    """

    def __init__(
        self,
        scenario: str,
        folder: Path,
        *,
        port: int | None = None,
        remote: int | None = None,
        transport: str = "udp",
        calls: int = 1,
        talk_s: float = 0.3,
        keys: Mapping[str, object] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.scenario, self.calls = scenario, calls
        self.port = port or free_port()
        self._files = folder / f"{next(_runs):02d}_{scenario}"
        command = [installed("sipp", "sip-tester")]
        if remote is not None:
            command.append(f"{HOST}:{remote}")
        command += ["-sf", str(SCENARIOS / f"{scenario}.xml")]
        command += ["-i", HOST, "-bind_local", "-p", str(self.port)]
        command += ["-t", "t1" if transport == "tcp" else "u1", "-m", str(calls), "-mi", HOST]
        # SIPp also binds the port two above it, for video.
        command += ["-mp", str(free_block(4)), "-ci", HOST, "-cp", str(free_port()), "-nostdin"]
        command += ["-d", str(round(talk_s * 1000)), "-timeout", f"{LIMIT_S}s", "-timeout_error"]
        command += ["-trace_err", "-error_file", str(self._log("errors"))]
        command += ["-trace_msg", "-message_file", str(self._log("messages"))]
        command += ["-trace_logs", "-log_file", str(self._log("log"))]
        command += ["-trace_stat", "-stf", str(self._log("csv")), "-fd", "1"]
        for name, value in (keys or {}).items():
            command += ["-key", name, str(value)]
        super().__init__([*command, *options], self._log("screen"), cwd=folder)
        if remote is None:
            self.wait_for_port(transport, self.port)

    @property
    def notes(self) -> str:
        """The output of the scenario's log actions."""
        return _text(self._log("log"))

    @property
    def messages(self) -> str:
        """The log of the messages it sent and received."""
        return _text(self._log("messages"))

    def count(self, name: str) -> int:
        """The latest value of a column of its statistics, such as ``SuccessfulCall(C)``."""
        rows = list(csv.DictReader(_text(self._log("csv")).splitlines(), delimiter=";"))
        return int(rows[-1][name]) if rows else 0

    @property
    def fault(self) -> str | None:
        """Why the run failed, with its logs; None if it ended and every call succeeded."""
        good = self.count("SuccessfulCall(C)")
        if self.exit_code == 0 and good == self.calls:
            return None
        lines = self.messages.splitlines()
        state = "still runs" if self.exit_code is None else f"ended with {self.exit_code}"
        return "\n".join(
            [
                f"SIPp {self.scenario}: {state}, {good} of {self.calls} calls were good",
                f"--- errors of {self.scenario}",
                _text(self._log("errors")) or self.printed[-2000:],
                f"--- messages of {self.scenario}, the last {LAST_LINES} lines of {len(lines)}",
                *lines[-LAST_LINES:],
            ]
        )

    def _log(self, what: str) -> Path:
        return self._files.with_name(f"{self._files.name}.{what}")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
