"""The result table: measured medians, and verdicts against the configured bounds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.book import Book
from bench.page import TABLE, write
from bench.systems import MINIMAL, STOCK, TUNED, US
from bench.table import LINES, Line, rows, table

ROOT = Path(__file__).parents[2]
CPU = Line("CPU", "cpu-500", "ms", 1.25, 0.8, STOCK)
SUSTAINED = Line("sustained", "sustained", "calls/s", 800, 1200, more_is_better=True)
SLOWEST = Line("p99", "answered-99", "ms", None, 1.2, TUNED)


def book(measure: str, **values: float) -> Book:
    """A book with one value per system."""
    made = Book()
    for name, value in values.items():
        made.write(measure, name, value)
    return made


@pytest.mark.parametrize(("ours", "verdict"), [(0.8, "aim"), (0.81, "must"), (1.25, "must"), (1.26, "short")])
def test_ratio_to_a_peer_is_judged_by_its_bounds(ours: float, verdict: str) -> None:
    cells = CPU.cells(book("cpu-500", screendoor=ours, kamailio=1.0))
    assert cells is not None
    assert cells[-1] == verdict


@pytest.mark.parametrize(("ours", "verdict"), [(1200, "aim"), (800, "must"), (799, "short")])
def test_higher_rate_is_judged_better(ours: float, verdict: str) -> None:
    cells = SUSTAINED.cells(book("sustained", screendoor=ours))
    assert cells is not None
    assert cells[-1] == verdict


@pytest.mark.parametrize(("ours", "verdict"), [(1.2, "aim"), (1.3, "short of the aim")])
def test_line_with_only_an_aim_is_never_judged_must(ours: float, verdict: str) -> None:
    cells = SLOWEST.cells(book("answered-99", **{US: ours, TUNED: 1.0}))
    assert cells is not None
    assert cells[-1] == verdict


def test_unmeasured_peer_gives_no_verdict() -> None:
    cells = CPU.cells(book("cpu-500", screendoor=0.1))
    assert cells is not None
    assert cells[-1] == "–"


def test_book_returns_the_median_of_repetitions() -> None:
    made = Book()
    for value in (0.4, 9.0, 0.5):
        made.write("cpu-500", US, value)
    assert made.read("cpu-500", US) == 0.5


def test_only_measured_lines_have_rows_under_their_title() -> None:
    found = rows(book("cpu-500", **{US: 0.5, STOCK: 0.8, TUNED: 0.33, MINIMAL: 0.25}))
    assert [row[0] for row in found] == ["CPU per call, UDP→UDP, 500/s", "", ""]
    assert [row[5] for row in found] == ["0.625", "1.52", "2"]


def test_measures_with_a_kamailio_have_both_kamailios() -> None:
    for line in LINES:
        if line.beside in (STOCK, TUNED):
            beside = {other.beside for other in LINES if other.measure == line.measure}
            assert {STOCK, TUNED} <= beside, line.measure


def test_table_and_remarks_are_written_between_the_marks_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"), encoding="utf-8")
    made = book("cpu-500", **{US: 0.5, STOCK: 0.8})
    made.remark("the machine was busy")
    write(page, made)
    text = page.read_text(encoding="utf-8")
    assert table(made) in text
    assert "* the machine was busy\n<!-- end -->" in text
    assert len(TABLE.findall(text)) == 1
    assert re.search(r"^\d\d \w+ 20\d\d; .*Python 3\.", text, re.MULTILINE)
