"""Checks what one test's calls left at the edge: log lines, call records, open calls."""

from __future__ import annotations

import re
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from tests.sipp.edge_process import EdgeProcess
from tests.sipp.process import until

OVER_S = 5.0
"""The edge ends a call within this time of its peers' ends."""


class EdgeChecks:
    """The edge's log and call records since construction, and the check that nothing else is left.

    A context manager: the contexts entered on its stack are closed with it.
    """

    def __init__(self, edge: EdgeProcess) -> None:
        self.edge = edge
        self._stack = ExitStack()
        self._before = len(edge.records)
        self._log_before = len(edge.printed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def log(self) -> str:
        """What the edge has logged since this test began."""
        return self.edge.printed[self._log_before :]

    def records(self, count: int = 1) -> list[dict[str, Any]]:
        """The records of this test's calls; waits until there are `count`."""
        until(lambda: len(self.edge.records) >= self._before + count, f"{count} records", within_s=OVER_S)
        return self.edge.records[self._before :]

    def assert_clean(self) -> None:
        """Assert that no call is left, all records are written, and the log contains no error."""
        until(lambda: self.edge.calls == 0, f"no call left\n{self.log}", within_s=OVER_S)
        finished = self.edge.finished
        until(lambda: len(self.edge.records) >= finished, f"{finished} records in all", within_s=OVER_S)
        assert not re.search(r" error |Traceback", self.log), self.log
