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


def test_the_previous_call_is_found_per_caller_and_dialed_number() -> None:
    recent = RecentCalls()
    assert previous(recent, caller("+1")) is None
    assert previous(recent, caller("+1", AT + timedelta(minutes=1))) == AT
    assert previous(recent, caller("+1", AT + timedelta(minutes=2))) == AT + timedelta(minutes=1)
    assert previous(recent, caller("+1", dialed="*")) is None
    assert previous(recent, caller("+2")) is None


def test_the_latest_100_calls_of_a_caller_are_kept_in_order() -> None:
    recent = RecentCalls()
    times = [AT + timedelta(seconds=each) for each in range(150)]
    assert [len(recent.record(caller("+1", at))) for at in times] == [*range(101), *[100] * 49]
    assert list(recent.record(caller("+1")))[-3:] == times[-3:]
    assert recent.record(caller(None)) == ()


def test_recording_the_same_call_twice_counts_it_once() -> None:
    recent = RecentCalls()
    previous(recent, caller("+1"))
    later = caller("+1", AT + timedelta(minutes=1))
    assert previous(recent, later) == AT
    assert previous(recent, replace(later, challenged=True)) == AT
    assert previous(recent, caller("+1", AT + timedelta(minutes=2))) == AT + timedelta(minutes=1)


def test_calls_before_a_restart_are_restored_within_the_limits() -> None:
    recent = RecentCalls(2)
    before = [PastCall(f"c{n}", "+1", "+14155551234", AT + timedelta(minutes=n)) for n in range(150)]
    recent.restore(
        [PastCall("c", "+3", "+14155551234", AT), *before, PastCall("d", "+2", "+14155551234", AT)]
    )
    found = recent.record(caller("+1", AT + timedelta(hours=9)))
    assert list(found) == [each.at for each in before[-MAX_CALLS_EACH:]]
    assert previous(recent, caller("+2")) == AT
    assert previous(recent, caller("+3")) is None


def test_calls_without_a_number_are_not_recorded() -> None:
    recent = RecentCalls()
    assert previous(recent, caller(None)) is None
    assert previous(recent, caller(None)) is None


def test_the_least_recent_caller_is_forgotten_over_the_limit() -> None:
    recent = RecentCalls(2)
    for number in ("+1", "+2", "+1", "+3"):
        previous(recent, caller(number))
    assert previous(recent, caller("+1")) == AT
    assert previous(recent, caller("+2")) is None
