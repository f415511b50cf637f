"""Retry delays."""

from __future__ import annotations

import pytest

from screening.notices.retry_schedule import (
    MAX_RETRY_DELAY_S,
    MAX_TRIES,
    RETRY_DELAYS_S,
    pause_s,
    retry_delay_s,
)


def low(lower: float, upper: float) -> float:
    return lower


def high(lower: float, upper: float) -> float:
    return upper


def test_retries_span_about_three_days_and_then_end() -> None:
    waits = [retry_delay_s(tries, None, lambda low, high: (low + high) / 2) for tries in range(1, MAX_TRIES)]
    assert waits == pytest.approx(RETRY_DELAYS_S)
    assert 3 <= sum(RETRY_DELAYS_S) / 86400 <= 3.5
    assert retry_delay_s(MAX_TRIES, None, low) is None


def test_retry_delays_are_randomised() -> None:
    assert (retry_delay_s(2, None, low), retry_delay_s(2, None, high)) == (240.0, 360.0)


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 240.0), (900.0, 900.0), (1e9, MAX_RETRY_DELAY_S)])
def test_retry_after_is_honoured_within_bounds(asked: float, waited: float) -> None:
    assert retry_delay_s(2, asked, low) == waited


def test_the_pause_of_a_failing_target_doubles_up_to_a_minute() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3, 7, 5000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert (pause_s(1, 900.0), pause_s(1, 1e9)) == (900.0, 3600.0)
