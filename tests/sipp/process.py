"""Starts, awaits and stops the programs that a test needs, and no other processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_S = 0.02
STOP_S = 5.0


def installed(program: str, package: str) -> str:
    """The path of a required program; AssertionError if it is missing: tests must fail, not skip."""
    found = shutil.which(program) or shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin")
    if found is None:
        raise AssertionError(f"{program} is not installed: apt-get install {package} (`make tools` does it)")
    return found


def killed_with_parent(command: Sequence[str | Path], sent: str = "TERM") -> list[str | Path]:
    """Wrap a command so that the kernel signals it when this process ends, even if killed (PR_SET_PDEATHSIG).

    Start it from a thread that outlives the program: the signal is sent when that thread ends.
    """
    return [installed("setpriv", "util-linux"), "--pdeathsig", sent, "--", *command]


def until(true: Callable[[], object], what: str, *, within_s: float = 10.0) -> None:
    """Poll until a condition on another process holds; AssertionError if it does not in time."""
    give_up = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        time.sleep(POLL_S)


class Process:
    """A running program with its output in a file; stopped when the `with` block or this process ends."""

    def __init__(
        self, command: Sequence[str], output: Path, *, cwd: Path, environ: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:  # fmt: skip
        self.output = output
        with output.open("ab") as file:
            self._popen = subprocess.Popen(
                killed_with_parent(command), stdin=stdin, stdout=file, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(environ or {})},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._popen.poll()

    @property
    def printed(self) -> str:
        """Its output so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def write_line(self, line: str) -> None:
        """Write a line to its standard input, which must be a pipe."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n".encode())
        self._popen.stdin.flush()

    def wait(self, within_s: float) -> int | None:
        """Wait for its end; returns the exit code, or None if it is still running after `within_s`."""
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stop it if it is still running."""
        if self._popen.poll() is None:
            self._popen.terminate()
            if self.wait(STOP_S) is None:
                self._popen.kill()
                self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def wait_for_port(self, transport: str, port: int) -> None:
        """Wait until it has bound its port, without connecting to it; stop it if it does not."""
        self.ready(lambda: _bound(transport, port), f"{transport} port {port} taken")

    def ready(self, true: Callable[[], object], what: str, *, within_s: float = 10.0) -> None:
        """Wait until a condition shows that it has started; stop it if that does not hold in time."""
        try:
            until(lambda: self.exit_code is not None or true(), what, within_s=within_s)
            assert self.exit_code is None, f"ended with {self.exit_code}, not {what}:\n{self.printed}"
        except BaseException:
            self.stop()
            raise


def _bound(transport: str, port: int) -> bool:
    """Whether a port is bound, read from /proc: trying to bind it could take it from the program itself."""
    state = "07" if transport == "udp" else "0A"  # unconnected; LISTEN
    rows = Path(f"/proc/net/{transport}").read_text(encoding="ascii").splitlines()[1:]
    return any(
        local.endswith(f":{port:04X}") and now == state for _, local, _, now, *_ in map(str.split, rows)
    )
