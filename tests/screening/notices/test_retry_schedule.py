"""Retry delays."""

from __future__ import annotations

import pytest

from screening.notices.retry_schedule import AFTER_S, LONGEST_S, MAX_TRIES, again_after_s, pause_s


def low(least: float, most: float) -> float:
    return least


def high(least: float, most: float) -> float:
    return most


def test_it_is_tried_for_about_three_days_and_then_given_up() -> None:
    waits = [again_after_s(tries, None, lambda low, high: (low + high) / 2) for tries in range(1, MAX_TRIES)]
    assert waits == pytest.approx(AFTER_S)
    assert 3 <= sum(AFTER_S) / 86400 <= 3.5
    assert again_after_s(MAX_TRIES, None, low) is None


def test_no_two_wait_alike() -> None:
    assert (again_after_s(2, None, low), again_after_s(2, None, high)) == (240.0, 360.0)


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 240.0), (900.0, 900.0), (1e9, LONGEST_S)])
def test_the_receiver_is_given_the_time_it_asks_for_within_reason(asked: float, waited: float) -> None:
    assert again_after_s(2, asked, low) == waited


def test_a_target_that_fails_is_left_alone_ever_longer_up_to_a_minute() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3, 7, 5000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert (pause_s(1, 900.0), pause_s(1, 1e9)) == (900.0, 3600.0)
