"""Programs under measurement: the CPU time and memory of a process tree, pinned to a core."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.accounting import cpu_ticks, parent, pss_kib
from tests.sipp.process import Process

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Program(Process):
    """A running program, ended when its block is left; `core` pins it and its children to one CPU."""

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        cwd: Path,
        core: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        super().__init__([*pinned, *command], output, cwd=cwd, environ=environ)

    @property
    def pid(self) -> int:
        """The root of the process tree."""
        return self._popen.pid

    @property
    def process_tree(self) -> list[int]:
        """The process and all its living descendants."""
        children: dict[int, list[int]] = defaultdict(list)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended meanwhile
                children[parent(_text(stat))].append(int(stat.parent.name))
        found = [self.pid]
        for pid in found:
            found += children[pid]
        return found

    @property
    def cpu_s(self) -> float:
        """User and system time of the whole tree so far."""
        return sum(cpu_ticks(_text(Path(f"/proc/{pid}/stat"))) for pid in self.process_tree) / TICKS_PER_S

    @property
    def pss_kib(self) -> int:
        """Memory of the whole tree, with shared pages counted once."""
        return sum(pss_kib(_text(Path(f"/proc/{pid}/smaps_rollup"))) for pid in self.process_tree)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Suspend the tree inside the block, so that it does not disturb other measurements."""
        process_tree = self.process_tree
        for pid in process_tree:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in process_tree:
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
