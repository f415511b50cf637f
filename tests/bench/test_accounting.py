"""Parsing of /proc accounting and SIPp statistics, and percentiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.accounting import Tally, cpu_ticks, parent, percentile, pss_kib

STAT = "4711 (a (b) c) S 42 4711 4711 0 -1 4194560 900 0 0 0 120 30 7 3 20 0 1 0 100 1000000 500 184467"
HEAD = "StartTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);Retransmissions(C);"


def test_cpu_ticks_sum_user_and_system_time_including_ended_children() -> None:
    assert cpu_ticks(STAT) == 120 + 30 + 7 + 3


def test_program_name_with_parentheses_and_spaces_is_parsed() -> None:
    assert parent(STAT) == 42


def test_parent_and_pss_of_this_process_are_read_from_proc() -> None:
    assert parent(Path("/proc/self/stat").read_text(encoding="utf-8")) == os.getppid()
    assert pss_kib(Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")) > 1000


def test_pss_is_read_and_not_one_of_its_parts() -> None:
    assert pss_kib("00400000-7fff [rollup]\nRss: 9000 kB\nPss: 5000 kB\nPss_Anon: 4000 kB\n") == 5000


def test_last_complete_row_of_sipp_statistics_is_used() -> None:
    text = f"{HEAD}\nnow;10;0;0;0;\nnow;200;190;3;7;\nnow;20"
    assert Tally.read(text) == Tally(created=200, good=190, failed=3, resent=7)


@pytest.mark.parametrize("text", ["", HEAD, HEAD + "\n"])
def test_statistics_without_a_row_are_zero(text: str) -> None:
    assert Tally.read(text) == Tally()


def test_tallies_are_subtracted_field_by_field() -> None:
    between = Tally(300, 290, 4, 9) - Tally(100, 95, 1, 2)
    assert between == Tally(200, 195, 3, 7)
    assert between.trouble == 10


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
