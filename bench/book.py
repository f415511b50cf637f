"""The results so far: every value of every repetition, and caveats."""

from __future__ import annotations

from collections import defaultdict
from statistics import median


class Book:
    """Values by measure and system."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.remarks: list[str] = []

    def write(self, measure: str, system: str, value: float) -> None:
        """Add a value of one repetition."""
        self._values[measure, system].append(value)

    def remark(self, text: str) -> None:
        """Add a note for the reader of the table, once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def read(self, measure: str, system: str) -> float | None:
        """Return the median of the repetitions; None if there are none."""
        values = self._values.get((measure, system))
        return median(values) if values else None
