"""Parsing of /proc accounting and SIPp statistics, and percentiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.accounting import Tally, cpu_ticks, parent, percentile, pss_kib

STAT = "4711 (a (b) c) S 42 4711 4711 0 -1 4194560 900 0 0 0 120 30 7 3 20 0 1 0 100 1000000 500 184467"
HEAD = "StartTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);Retransmissions(C);"


def test_cpu_is_user_and_system_time_also_of_children_that_ended() -> None:
    assert cpu_ticks(STAT) == 120 + 30 + 7 + 3


def test_a_program_name_with_parentheses_and_spaces_shifts_nothing() -> None:
    assert parent(STAT) == 42


def test_this_very_process_is_read_from_the_kernel() -> None:
    assert parent(Path("/proc/self/stat").read_text(encoding="utf-8")) == os.getppid()
    assert pss_kib(Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")) > 1000


def test_memory_is_the_proportional_set_size_and_not_one_of_its_parts() -> None:
    assert pss_kib("00400000-7fff [rollup]\nRss: 9000 kB\nPss: 5000 kB\nPss_Anon: 4000 kB\n") == 5000


def test_the_last_whole_row_of_sipps_statistics_counts() -> None:
    text = f"{HEAD}\nnow;10;0;0;0;\nnow;200;190;3;7;\nnow;20"
    assert Tally.read(text) == Tally(created=200, good=190, failed=3, resent=7)


@pytest.mark.parametrize("text", ["", HEAD, HEAD + "\n"])
def test_statistics_without_a_row_are_zeroes(text: str) -> None:
    assert Tally.read(text) == Tally()


def test_what_was_counted_before_is_taken_away() -> None:
    between = Tally(300, 290, 4, 9) - Tally(100, 95, 1, 2)
    assert between == Tally(200, 195, 3, 7)
    assert between.trouble == 10


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
