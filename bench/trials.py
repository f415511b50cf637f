"""A run of the benchmarks: its extent, and the handling of systems that cannot be measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench.book import Book
from bench.systems import SYSTEMS, missing


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    load_s: float
    sustained_s: float
    latency_s: float
    memory_calls: int
    media_s: float
    slices: int
    """Number of one-second measurements of each relay, in turn."""
    switches: int


WHOLE: Final = Extent(6, 6, 12, 5000, 6, 9, 5)
QUICK: Final = Extent(3, 3, 5, 600, 3, 5, 2)


class Trials:
    """Writes results into the book; what cannot be measured is reported and left out."""

    def __init__(self, book: Book, extent: Extent, *, quick: bool) -> None:
        self.book, self.extent, self.quick = book, extent, quick
        self.rested: set[tuple[str, str]] = set()
        """What need not be repeated, by measure and system."""

    def present(self, names: Sequence[str], *, secure: bool = False) -> Iterator[str]:
        for name in names:
            if (reason := missing(name, secure=secure)) is not None:
                self.book.remark(f"{label(name)} was left out: {reason}")
            else:
                yield name

    @contextmanager
    def trying(self, measure: str, name: str) -> Iterator[None]:
        """A system that cannot be measured loses its own row only."""
        try:
            yield
        except (AssertionError, OSError, subprocess.SubprocessError) as failure:
            self.book.remark(
                f"{measure}: {label(name)} could not be measured: {str(failure).splitlines()[0]}"
            )

    def note(self, measure: str, name: str, value: float) -> None:
        self.book.write(measure, name, value)
        print(f"{measure:12} {name:12} {value:8.3f}", file=sys.stderr, flush=True)


def label(name: str) -> str:
    """The system's name in the table."""
    return SYSTEMS[name].label
