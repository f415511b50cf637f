"""A wrong clock deletes nothing before an operator, or NTP, had time to correct it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog

from screening.memory.retention import DOUBTED_STEADY_S, LONG, STEADY_S
from screening.memory.store import Memory
from tests.screening.memory.clocks import Time, do
from tests.screening.memory.records import AT, a_record, finish
from tests.screening.memory.test_store import kept

pytestmark = pytest.mark.network

YEARS = timedelta(days=4000)


def store_calls(memory: Memory, **ago: int) -> None:
    """Store one call per name, begun so many days ago."""
    for name, days in ago.items():
        began = (AT - timedelta(days=days)).isoformat(timespec="milliseconds")
        finish(memory, a_record(name, began=began, ended=began))


def test_nothing_is_deleted_before_the_clock_has_been_steady_for_an_hour(memory: Memory) -> None:
    store_calls(memory, old=31, young=20)
    time = Time(AT + timedelta(days=20))
    retention = time.retention()
    for _ in range(12):
        do(memory, retention.step)
        time.pass_by(STEADY_S / 12 - 1)
    do(memory, retention.step)
    assert set(kept(memory)) == {"old", "young"}
    time.now -= timedelta(days=20)
    do(memory, retention.step)
    time.pass_by(STEADY_S)
    do(memory, retention.step)
    assert set(kept(memory)) == {"young"}


def test_a_clock_set_years_ahead_and_back_the_same_day_deletes_nothing(memory: Memory) -> None:
    store_calls(memory, new=0)
    time = Time(AT)
    retention = time.trusted_retention(memory)
    do(memory, retention.step)
    with structlog.testing.capture_logs() as logs:
        time.now += YEARS
        do(memory, retention.step)
        time.pass_by(DOUBTED_STEADY_S - 1)
        do(memory, retention.step)
    assert [(line["log_level"], line["last_call"]) for line in logs] == [("warning", f"{AT:%Y-%m-%d}")]
    time.now -= YEARS
    time.pass_by(STEADY_S)
    do(memory, retention.step)
    time.pass_by(STEADY_S)
    do(memory, retention.step)
    assert set(kept(memory)) == {"new"}


def test_calls_dated_by_a_wrong_clock_do_not_make_it_trusted(memory: Memory) -> None:
    store_calls(memory, before=0)
    time = Time(AT + YEARS)
    retention = time.retention()
    do(memory, retention.step)
    time.pass_by(60)
    store_calls(memory, meanwhile=-4000)
    time.pass_by(2 * STEADY_S)
    do(memory, retention.step)
    assert set(kept(memory)) == {"before", "meanwhile"}


def test_after_a_long_pause_old_calls_are_deleted_once_the_clock_is_steady_for_a_day(memory: Memory) -> None:
    store_calls(memory, old=31)
    time = Time(AT)
    retention = time.retention()
    do(memory, retention.step)
    time.pass_by(DOUBTED_STEADY_S)
    do(memory, retention.step)
    assert kept(memory) == {}


def test_keep_days_1_deletes_after_an_hour_even_after_quiet_days(memory: Memory) -> None:
    store_calls(memory, old=LONG.days - 1)
    time = Time(AT)
    retention = time.retention(keep_days=1)
    with structlog.testing.capture_logs() as logs:
        do(memory, retention.step)
        time.pass_by(STEADY_S)
        do(memory, retention.step)
    assert [line["event"] for line in logs] == ["old calls deleted"]
    assert kept(memory) == {}


def test_after_a_clock_correction_old_calls_are_deleted_as_usual(memory: Memory) -> None:
    store_calls(memory, old=29, young=1)
    time = Time(AT + YEARS)
    retention = time.retention()
    do(memory, retention.step)
    time.pass_by(DOUBTED_STEADY_S - 1)
    time.now = AT
    do(memory, retention.step)
    time.pass_by(2 * 86400)
    do(memory, retention.step)
    assert set(kept(memory)) == {"young"}
