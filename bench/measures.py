"""The measures, each over all the systems it compares, one repetition at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench import latency, memory, parse
from bench.book import Book
from bench.latency import Latency
from bench.rig import rig
from bench.sustained import STEPS, sustained
from bench.systems import AIOSIPUA, HIDING, SIPPY, STOCK, SYSTEMS, TUNED, TUNED_HIDING, US, missing
from bench.table import SIPMESSAGE

MOST_TROUBLE: Final = 0.01
"""A run with a larger share of failures and retransmissions is remarked on."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    load_s: float
    sustained_s: float
    latency_s: float
    memory_calls: int


COARSE: Final = (400, 800, 1200)
"""Rates of a quick search."""
WHOLE: Final = Extent(6, 6, 12, 5000)
QUICK: Final = Extent(3, 3, 5, 600)


class Bench:
    """Measures, and writes into the book; what cannot be measured is said, and left out."""

    def __init__(self, book: Book, extent: Extent, *, quick: bool) -> None:
        self.book, self._extent, self._quick = book, extent, quick
        self._rested: set[tuple[str, str]] = set()
        """What need not be repeated: measure and system."""

    def cpu(self) -> None:
        """CPU per call, UDP to UDP."""
        self._load("cpu", 500, (US, STOCK, TUNED))

    def small(self) -> None:
        """The same at the rates that the slower peers can bear."""
        self._load("cpu", 200, (US, HIDING, TUNED_HIDING, AIOSIPUA))
        self._load("cpu", 50, (US, SIPPY))

    def tls(self) -> None:
        """CPU per call, UDP to TLS."""
        self._load("tls", 500, (US, STOCK, TUNED), secure=True)

    def sustained(self) -> None:
        """The highest rate on one core; the peers', which nothing is judged by, once."""
        steps = COARSE if self._quick else STEPS
        for name in self._present((US,) if self._quick else (US, STOCK, TUNED)):
            if ("sustained", name) not in self._rested:
                with self._trying("sustained", name):
                    start = 2000 if name == TUNED else 800
                    rate = sustained(SYSTEMS[name].make, self._extent.sustained_s, steps=steps, start=start)
                    self._note("sustained", name, rate)
                    if rate == steps[-1]:
                        self.book.remark(
                            f"sustained: {_label(name)} kept {rate} calls/s, and more was not tried"
                        )
                if name != US:
                    self._rested.add(("sustained", name))

    def latency(self) -> None:
        """What the middle box adds to the time that a caller waits."""
        with self._trying("latency", US):
            direct = latency.direct(SYSTEMS[US].make, self._extent.latency_s)
            for name in self._present((US, STOCK, TUNED)):
                with self._trying("latency", name):
                    self._added(name, latency.through(SYSTEMS[name].make, self._extent.latency_s) - direct)

    def _added(self, name: str, added: Latency) -> None:
        if added.lost:
            self.book.remark(f"latency: {added.lost} calls of the probe were lost by {_label(name)}")
        for word, (p50, p99) in zip(("arrived", "rang", "answered"), added.spans, strict=True):
            self._note(f"{word}-50", name, p50)
            self._note(f"{word}-99", name, p99)

    def memory(self) -> None:
        """What an open call takes; once, for it hardly varies."""
        calls = memory.most_calls(self._extent.memory_calls)
        if calls < self._extent.memory_calls:
            self.book.remark(f"memory: {calls} calls, as many as the limit of open files allows")
        for name in self._present((US,) if self._quick else (US, STOCK, TUNED)):
            if ("memory", name) not in self._rested:
                with self._trying("memory", name):
                    self._note("memory", name, memory.memory(SYSTEMS[name].make, calls).per_call)
                    self._rested.add(("memory", name))

    def parse(self) -> None:
        """One INVITE, read and written."""
        with self._trying("parse", US):
            ours, theirs = parse.parse()
            self._note("parse", US, ours)
            self._note("parse", SIPMESSAGE, theirs)

    def _load(self, measure: str, rate: int, names: Sequence[str], *, secure: bool = False) -> None:
        for name in self._present(names, secure=secure):
            with self._trying(f"{measure}-{rate}", name), rig(SYSTEMS[name].make, secure=secure) as stand:
                stand.warm(rate)
                run = stand.load(rate, self._extent.load_s)
                self._note(f"{measure}-{rate}", name, run.cpu_ms)
                if run.trouble > MOST_TROUBLE:
                    failed = run.caller.failed + run.callee.failed
                    resent = run.caller.resent + run.callee.resent
                    self.book.remark(
                        f"{measure}-{rate}: {_label(name)} had {failed} failures and "
                        f"{resent} retransmissions in {run.caller.created} calls"
                    )

    def _present(self, names: Sequence[str], *, secure: bool = False) -> Iterator[str]:
        for name in names:
            if (reason := missing(name, secure=secure)) is not None:
                self.book.remark(f"{_label(name)} was left out: {reason}")
            else:
                yield name

    @contextmanager
    def _trying(self, measure: str, name: str) -> Iterator[None]:
        """A system that cannot be measured costs its own row, no other."""
        try:
            yield
        except (AssertionError, OSError, subprocess.SubprocessError) as failure:
            self.book.remark(
                f"{measure}: {_label(name)} could not be measured: {str(failure).splitlines()[0]}"
            )

    def _note(self, measure: str, name: str, value: float) -> None:
        self.book.write(measure, name, value)
        print(f"{measure:12} {name:12} {value:8.3f}", file=sys.stderr, flush=True)


MEASURES: Final[dict[str, Callable[[Bench], None]]] = {
    "cpu": Bench.cpu,
    "small": Bench.small,
    "tls": Bench.tls,
    "latency": Bench.latency,
    "sustained": Bench.sustained,
    "memory": Bench.memory,
    "parse": Bench.parse,
}


def _label(name: str) -> str:
    return SYSTEMS[name].label
