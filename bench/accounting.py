"""Parses the accounting of the kernel and of SIPp: text in, values out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


def cpu_ticks(stat: str) -> int:
    """User and system time of a process and its terminated children, in clock ticks (proc(5), `stat`)."""
    return sum(map(int, _fields(stat)[11:15]))


def parent(stat: str) -> int:
    """The id of its parent process."""
    return int(_fields(stat)[1])


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()  # the program's name, in parentheses, may contain anything


def pss_kib(rollup: str) -> int:
    """Proportional set size in KiB (proc(5), `smaps_rollup`): a page in n processes counts 1/n for each."""
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@dataclass(frozen=True, slots=True)
class Tally:
    """SIPp's counters, in total or between two moments."""

    created: int = 0
    """Calls that it placed or received."""
    good: int = 0
    failed: int = 0
    resent: int = 0
    """Messages retransmitted because no response came in time (T1 is 500 ms)."""

    @classmethod
    def read(cls, statistics: str) -> Self:
        """Read the last complete row of SIPp's statistics file; zeros before there is one."""
        rows = [
            row
            for row in csv.DictReader(statistics.splitlines(), delimiter=";")
            if row.get("Retransmissions(C)")
        ]
        names = ("TotalCallCreated", "SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")
        return cls(*(int(rows[-1][name]) for name in names)) if rows else cls()

    def __sub__(self, before: Tally) -> Tally:
        return Tally(
            self.created - before.created,
            self.good - before.good,
            self.failed - before.failed,
            self.resent - before.resent,
        )

    @property
    def trouble(self) -> int:
        """Failures and retransmissions."""
        return self.failed + self.resent
