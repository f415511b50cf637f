"""What the calls of one test have left behind at the edge."""

from __future__ import annotations

import re
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from tests.sipp.edge_process import EdgeProcess
from tests.sipp.process import until

OVER_S = 5.0
"""A call whose peers have all ended is over for the edge within this time."""


class Aftermath:
    """The edge's log and records since this was made, and the proof that nothing else is left.

    In a ``with``; what is entered on its stack ends with the block.
    """

    def __init__(self, edge: EdgeProcess) -> None:
        self.edge = edge
        self._stack = ExitStack()
        self._before = len(edge.records)
        self._log_before = len(edge.said)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def log(self) -> str:
        """What the edge has logged since this test began."""
        return self.edge.said[self._log_before :]

    def records(self, count: int = 1) -> list[dict[str, Any]]:
        """The records of this test's calls, once there are so many."""
        until(lambda: len(self.edge.records) >= self._before + count, f"{count} records", within_s=OVER_S)
        return self.edge.records[self._before :]

    def assert_clean(self) -> None:
        """No call is left, the log has no error in it, and nothing is written late, into the next test."""
        until(lambda: self.edge.calls == 0, f"no call left\n{self.log}", within_s=OVER_S)
        finished = self.edge.finished
        until(lambda: len(self.edge.records) >= finished, f"{finished} records in all", within_s=OVER_S)
        assert not re.search(r" error |Traceback", self.log), self.log
