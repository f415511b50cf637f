"""A settable wall clock and a monotonic clock, both under the test's control."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from screening.memory.retention import DOUBTED_STEADY_S, Retention
from screening.memory.store import Memory
from tests.screening.memory.test_store import WAIT_S

T = TypeVar("T")


def do(memory: Memory, work: Callable[[Connection], T]) -> T:
    return memory.submit(work).result(WAIT_S)


class Time:
    def __init__(self, now: datetime) -> None:
        self.now, self.seconds = now, 0.0

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def retention(self, keep_days: int = 30, batch_size: int = 200) -> Retention:
        return Retention(keep_days, lambda: self.now, batch_size, clock=lambda: self.seconds)

    def trusted_retention(self, memory: Memory, batch_size: int = 200) -> Retention:
        """A `Retention` that already trusts its clock."""
        retention = self.retention(batch_size=batch_size)
        self.now -= timedelta(seconds=DOUBTED_STEADY_S)
        do(memory, retention.step)
        self.pass_by(DOUBTED_STEADY_S)
        return retention
