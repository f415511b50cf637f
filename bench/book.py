"""What has been measured so far: every value of every repetition, and what spoke against trusting one."""

from __future__ import annotations

from collections import defaultdict
from statistics import median


class Book:
    """Values by measure and system."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.remarks: list[str] = []

    def write(self, measure: str, system: str, value: float) -> None:
        """One value of one repetition."""
        self._values[measure, system].append(value)

    def remark(self, text: str) -> None:
        """Something a reader of the table should know; said once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def read(self, measure: str, system: str) -> float | None:
        """The median of the repetitions; None if there is none."""
        values = self._values.get((measure, system))
        return median(values) if values else None
