"""What the numbers of the kernel and of SIPp mean: texts in, values out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


def cpu_ticks(stat: str) -> int:
    """User and system time of a process and of its children that ended, in clock ticks (proc(5), `stat`)."""
    return sum(map(int, _fields(stat)[11:15]))


def parent(stat: str) -> int:
    """The process that begot this one."""
    return int(_fields(stat)[1])


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()  # the program's name, in parentheses, may hold anything


def pss_kib(rollup: str) -> int:
    """Proportional set size in KiB (proc(5), `smaps_rollup`): a page that n share counts 1/n for each."""
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are at most (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@dataclass(frozen=True, slots=True)
class Tally:
    """What SIPp has counted, whole or between two moments."""

    created: int = 0
    """Calls it began, or took."""
    good: int = 0
    failed: int = 0
    resent: int = 0
    """Messages that it sent again because no answer came in time (T1 is 500 ms)."""

    @classmethod
    def read(cls, statistics: str) -> Self:
        """The last whole row of SIPp's statistics file; zeroes before there is one."""
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
