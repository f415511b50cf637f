"""Hours, quiet hours and holidays, in one time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from screening.callers.timetable import Timetable, parse_holiday, parse_window

NEW_YORK = ZoneInfo("America/New_York")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("text", "at", "covered"),
    [
        ("Mon-Fri 09:00-17:00", "2026-11-23T09:00", True),
        ("Mon-Fri 09:00-17:00", "2026-11-23T17:00", False),
        ("Mon-Fri 09:00-17:00", "2026-11-22T12:00", False),
        ("22:00-07:00", "2026-11-22T22:00", True),
        ("22:00-07:00", "2026-11-22T06:59", True),
        ("22:00-07:00", "2026-11-22T07:00", False),
        ("fri 22:00-07:00", "2026-11-28T03:00", True),
        ("fri 22:00-07:00", "2026-11-27T03:00", False),
        ("Saturday, Sunday", "2026-11-22T23:59", True),
        ("Sat-Mon", "2026-11-24T00:00", False),
        ("Sat-Mon", "2026-11-23T00:00", True),
        ("8:30-24:00", "2026-11-23T23:59", True),
    ],
)
def test_a_window_covers_its_hours_on_its_days(text: str, at: str, covered: bool) -> None:
    assert parse_window(text).covers(local(at)) is covered


@pytest.mark.parametrize(
    ("text", "at", "covered"),
    [
        ("2026-12-25", "2026-12-25T00:00", True),
        ("2026-12-25", "2027-12-25T00:00", False),
        ("12-25", "2031-12-25T23:59", True),
        ("12-24/01-02", "2027-01-02T12:00", True),
        ("12-24/01-02", "2027-01-03T12:00", False),
        ("2026-12-24/2027-01-02", "2026-12-31T12:00", True),
        ("2026-12-24/2027-01-02", "2027-12-31T12:00", False),
        ("02-29", "2028-02-29T12:00", True),
    ],
)
def test_a_holiday_covers_its_days(text: str, at: str, covered: bool) -> None:
    assert parse_holiday(text).covers(local(at)) is covered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22-7",
        "25:00-26:00",
        "09:60-11:00",
        "24:00-01:00",
        "Mom 09:00-10:00",
        "Mon-Wed-Fri",
        "09:00-09:00",
    ],
)
def test_a_malformed_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"days|time"):
        parse_window(text)


@pytest.mark.parametrize(
    "text", ["", "12-32", "2026-02-29", "25.12.", "2026-12-25/2026-12-24", "12-24/2026-12-26", "1/2/3"]
)
def test_a_malformed_holiday_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="day"):
        parse_holiday(text)


def test_windows_apply_in_local_time_including_daylight_saving() -> None:
    nights = Timetable(NEW_YORK, quiet=(parse_window("22:00-07:00"),))
    assert nights.closed(datetime(2026, 7, 1, 2, 0, tzinfo=UTC)) == "quiet hours 22:00-07:00"
    assert nights.closed(datetime(2026, 12, 1, 2, 0, tzinfo=UTC)) is None
    assert nights.closed(datetime(2026, 12, 1, 3, 0, tzinfo=UTC)) == "quiet hours 22:00-07:00"


def test_closed_gives_the_reason() -> None:
    office = Timetable(
        NEW_YORK,
        (parse_window("Mon-Fri 09:00-17:00"),),
        (parse_window("12:00-13:00"),),
        (parse_holiday("12-25"),),
    )
    assert office.closed(local("2026-12-25T10:00")) == "holiday 12-25"
    assert office.closed(local("2026-12-24T12:30")) == "quiet hours 12:00-13:00"
    assert office.closed(local("2026-12-24T18:00")) == "outside the hours"
    assert office.closed(local("2026-12-24T10:00")) is None
    assert Timetable().closed(local("2026-12-25T03:00")) is None
