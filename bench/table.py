"""The table of results: our value, a peer's, their ratio, required and desired bound, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.book import Book
from bench.systems import (
    AIOSIPUA,
    HIDING,
    MINIMAL,
    RTPENGINE,
    SIPPY,
    STOCK,
    SYSTEMS,
    TUNED,
    TUNED_HIDING,
    US,
)

SIPMESSAGE: Final = "sipmessage"
QUIET: Final = "quiet"
BEFORE: Final = "before"
OTHERS: Final = {
    SIPMESSAGE: "sipmessage",
    QUIET: "the same without audio",
    BEFORE: "while the agent speaks",
}
LABELS: Final = {name: system.label for name, system in SYSTEMS.items()} | OTHERS
HEAD: Final = (
    "measure", "unit", "Screendoor", "compared with", "its value", "ratio", "must", "aim", "verdict",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One row. The bounds are ratios to `beside`'s value, or plain values if there is no peer."""

    title: str
    measure: str
    unit: str
    must: float | None = None
    aim: float | None = None
    beside: str | None = None
    more_is_better: bool = False

    def cells(self, book: Book) -> tuple[str, ...] | None:
        """Return the row; None if nothing in it was measured."""
        ours = book.read(self.measure, US)
        theirs = book.read(self.measure, self.beside) if self.beside else None
        if ours is None and theirs is None:
            return None
        ratio = ours / theirs if ours is not None and theirs else None
        judged = ratio if self.beside else ours
        return (
            self.title, self.unit, _number(ours), LABELS.get(self.beside or "", "–"), _number(theirs),
            _number(ratio), self._bound(self.must), self._bound(self.aim), self.verdict(judged),
        )  # fmt: skip

    def verdict(self, judged: float | None) -> str:
        """`aim` if the desired bound is met, `must` if only the required one is, `short` if neither."""
        if judged is None or (self.must is None and self.aim is None):
            return "–"
        if self._reaches(judged, self.aim):
            return "aim"
        if self.must is None:
            return "short of the aim"
        return "must" if self._reaches(judged, self.must) else "short"

    def _reaches(self, judged: float, bound: float | None) -> bool:
        if bound is None:
            return False
        return judged >= bound if self.more_is_better else judged <= bound

    def _bound(self, bound: float | None) -> str:
        if bound is None:
            return "–"
        return f"{'≥' if self.more_is_better else '≤'} {_number(bound)}" + ("×" if self.beside else "")


LINES: Final = (
    Line("CPU per call, UDP→UDP, 500/s", "cpu-500", "ms", 1.25, 0.8, STOCK),
    Line("", "cpu-500", "ms", 3, 2, TUNED),
    Line("", "cpu-500", "ms", beside=MINIMAL),
    Line("CPU per call, UDP→UDP, 200/s", "cpu-200", "ms", 0.4, 0.27, HIDING),
    Line("", "cpu-200", "ms", 1.25, 0.85, TUNED_HIDING),
    Line("", "cpu-200", "ms", 1 / 2, 1 / 3, AIOSIPUA),
    Line("", "cpu-200", "ms", beside=MINIMAL),
    Line("CPU per call, UDP→UDP, 50/s", "cpu-50", "ms", 1 / 3, 1 / 5, SIPPY),
    Line("", "cpu-50", "ms", beside=MINIMAL),
    Line("CPU per call, UDP→TLS, 500/s", "tls-500", "ms", 1.25, 0.85, STOCK),
    Line("", "tls-500", "ms", 3, 2, TUNED),
    Line("sustained on one core", "sustained", "calls/s", 800, 1200, more_is_better=True),
    Line("", "sustained", "calls/s", beside=STOCK, more_is_better=True),
    Line("", "sustained", "calls/s", beside=TUNED, more_is_better=True),
    Line("added latency INVITE→200 under 300 calls/s, p99", "answered-99", "ms", 1, None, STOCK),
    Line("", "answered-99", "ms", None, 1.2, TUNED),
    Line("added latency INVITE→200 under 300 calls/s, p50", "answered-50", "ms", beside=STOCK),
    Line("", "answered-50", "ms", beside=TUNED),
    Line("added latency INVITE→INVITE (one way), p99", "arrived-99", "ms", beside=STOCK),
    Line("", "arrived-99", "ms", beside=TUNED),
    Line("added latency INVITE→INVITE (one way), p50", "arrived-50", "ms", beside=STOCK),
    Line("", "arrived-50", "ms", beside=TUNED),
    Line("memory per open call (both legs)", "memory", "KiB", 12, 6),
    Line("", "memory", "KiB", beside=STOCK),
    Line("", "memory", "KiB", beside=TUNED),
    Line("audio in `relay`: CPU per packet, 1,000 streams", "media", "µs", 1.25, 0.85, RTPENGINE),
    Line("the same with SRTP on one leg", "media-srtp", "µs", 1.5, 1, RTPENGINE),
    Line("the same as shipped, in the kernel", "media-kernel", "µs", 1 / 4, 1 / 6, RTPENGINE),
    Line("audio as shipped: added one-way latency at 200 streams, p99", "late-99", "µs", 1, 0.99, RTPENGINE),
    Line("audio as shipped: added one-way latency at 200 streams, p50", "late-50", "µs", beside=RTPENGINE),
    Line("the same in `relay`, p99", "late-relay-99", "µs", beside=RTPENGINE),
    Line("the same in `relay`, p50", "late-relay-50", "µs", beside=RTPENGINE),
    Line("audio in `relay`: the same at 1,000 streams, p99", "crowd-99", "µs", beside=RTPENGINE),
    Line("audio in `relay`: the same at 1,000 streams, p50", "crowd-50", "µs", beside=RTPENGINE),
    Line("longest gap at the caller, agent → phone, in `relay`", "switch", "ms", 60, 20),
    Line("", "switch", "ms", beside=BEFORE),
    Line("INVITE→200 with 500 calls in `relay`, p99", "beside-99", "ms", beside=QUIET),
    Line("INVITE→200 with 500 calls in `relay`, p50", "beside-50", "ms", beside=QUIET),
    Line("INVITE: parse + serialise", "parse", "µs", 1, 0.5, SIPMESSAGE),
    Line("policy: per call, 100,000 contacts and 10,000 patterns", "policy", "µs", 50),
    Line("the same: memory", "policy-memory", "MiB", 100),
    Line("decision → INVITE to the phone, `local`, p99", "decision-local-99", "ms", 20),
    Line("decision → INVITE to the phone, `local`, p50", "decision-local-50", "ms"),
    Line("decision → INVITE to the phone, `refer`, p99", "decision-refer-99", "ms", 20),
    Line("decision → INVITE to the phone, `refer`, p50", "decision-refer-50", "ms"),
    Line("webhook → accept, p99", "accept-99", "ms", 20),
    Line("webhook → accept, p50", "accept-50", "ms"),
    Line(
        "200 concurrent screened calls: ended as scripted",
        "crowd-screened",
        "calls",
        200,
        more_is_better=True,
    ),
    Line("the same: calls, legs, ports, tasks, sessions left", "crowd-left", "", 0),
)


def rows(book: Book) -> list[tuple[str, ...]]:
    """Return the rows of everything measured, with titles."""
    found: list[tuple[str, ...]] = []
    title = ""
    for line in LINES:
        title = line.title or title
        if (cells := line.cells(book)) is not None:
            repeated = any(row[0] == title for row in found)
            found.append(("" if repeated else title, *cells[1:]))
    return found


def table(book: Book) -> str:
    """Return Markdown that is also readable as plain text."""
    return markdown([HEAD, *rows(book)])


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Align columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    written = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    written.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(written)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
