"""Recent calls."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from screening.callers.recent import MAX_CALLS_EACH, PastCall, RecentCalls
from screening.contract import Caller

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


CALLS = itertools.count(1)


def caller(number: str | None, at: datetime = AT, dialed: str = "+14155551234") -> Caller:
    return Caller(f"call {next(CALLS)}", number, None, dialed, "", at)


def previous(recent: RecentCalls, caller: Caller) -> datetime | None:
    """When the caller last called before this call, which is recorded."""
    return next(reversed(recent.record(caller)), None)


def test_the_last_call_of_each_caller_to_each_number_is_known() -> None:
    recent = RecentCalls()
    assert previous(recent, caller("+1")) is None
    assert previous(recent, caller("+1", AT + timedelta(minutes=1))) == AT
    assert previous(recent, caller("+1", AT + timedelta(minutes=2))) == AT + timedelta(minutes=1)
    assert previous(recent, caller("+1", dialed="*")) is None
    assert previous(recent, caller("+2")) is None


def test_every_call_of_late_is_known_the_latest_last() -> None:
    recent = RecentCalls()
    times = [AT + timedelta(seconds=each) for each in range(150)]
    assert [len(recent.record(caller("+1", at))) for at in times] == [*range(101), *[100] * 49]
    assert list(recent.record(caller("+1")))[-3:] == times[-3:]
    assert recent.record(caller(None)) == ()


def test_a_call_that_is_asked_about_twice_is_one_call() -> None:
    recent = RecentCalls()
    previous(recent, caller("+1"))
    later = caller("+1", AT + timedelta(minutes=1))
    assert previous(recent, later) == AT
    assert previous(recent, replace(later, challenged=True)) == AT
    assert previous(recent, caller("+1", AT + timedelta(minutes=2))) == AT + timedelta(minutes=1)


def test_calls_of_before_a_start_are_taken_in() -> None:
    recent = RecentCalls(2)
    before = [PastCall(f"c{n}", "+1", "+14155551234", AT + timedelta(minutes=n)) for n in range(150)]
    recent.restore(
        [PastCall("c", "+3", "+14155551234", AT), *before, PastCall("d", "+2", "+14155551234", AT)]
    )
    found = recent.record(caller("+1", AT + timedelta(hours=9)))
    assert list(found) == [each.at for each in before[-MAX_CALLS_EACH:]]
    assert previous(recent, caller("+2")) == AT
    assert previous(recent, caller("+3")) is None


def test_withheld_callers_are_nobody() -> None:
    recent = RecentCalls()
    assert previous(recent, caller(None)) is None
    assert previous(recent, caller(None)) is None


def test_of_many_the_latest_are_remembered() -> None:
    recent = RecentCalls(2)
    for number in ("+1", "+2", "+1", "+3"):
        previous(recent, caller(number))
    assert previous(recent, caller("+1")) == AT
    assert previous(recent, caller("+2")) is None
