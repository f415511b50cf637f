"""Opening hours of a number: weekly hours, quiet hours and holidays, in one time zone.

Mon-Fri 09:00-17:00          on working days from nine to five
22:00-07:00                  every night; a window across midnight belongs to the day on which it begins
Sat,Sun                      the whole day
2026-12-25, 12-25            a holiday, once or every year
12-24/01-02                  from the first to the last day
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW_EXPECTED = "days, times or both, such as Mon-Fri 09:00-17:00, 22:00-07:00 or Sat,Sun"
HOLIDAY_EXPECTED = "a day or two with / between them, such as 2026-12-25, 12-25 or 12-24/01-02"
_WINDOW = re.compile(r"(?:([A-Za-z][A-Za-z, -]*?))?\s*(?:(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d))?")
_LEAP = 2024
"""A leap year, to check dates without a year."""


@dataclass(frozen=True, slots=True)
class Window:
    """A weekly time window."""

    text: str
    days: frozenset[int]
    """0 is Monday."""
    begins: int = 0
    """Minutes since midnight."""
    ends: int = 24 * 60
    """Minutes since midnight; less than `begins` means on the next day."""

    def covers(self, local: datetime) -> bool:
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begins < self.ends:
            return day in self.days and self.begins <= minute < self.ends
        return (day in self.days and minute >= self.begins) or (
            (day - 1) % 7 in self.days and minute < self.ends
        )


@dataclass(frozen=True, slots=True)
class Holiday:
    """Days on which the number is closed."""

    text: str
    first: tuple[int, ...]
    """Year, month, day; or month and day, for every year."""
    last: tuple[int, ...]

    def covers(self, local: datetime) -> bool:
        day = (local.year, local.month, local.day)[-len(self.first) :]
        if self.first <= self.last:
            return self.first <= day <= self.last
        return day >= self.first or day <= self.last


def parse_window(text: str) -> Window:
    """Raises ValueError with what is expected."""
    said = _WINDOW.fullmatch(text.strip())
    if said is None or not text.strip():
        raise ValueError(WINDOW_EXPECTED)
    days = _days(said[1]) if said[1] else frozenset(range(7))
    if said[2] is None:
        return Window(text, days)
    begins, ends = _minutes(said[2], said[3]), _minutes(said[4], said[5])
    if begins == ends or begins == 24 * 60:
        raise ValueError("a start time and a different end time")
    return Window(text, days, begins, ends)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        ends = [each.strip().lower()[:3] for each in part.split("-")]
        if len(ends) > 2 or any(each not in DAYS for each in ends):
            raise ValueError(WINDOW_EXPECTED)
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        found.update(day % 7 for day in range(first, last + 1 if last >= first else last + 8))
    return frozenset(found)


def _minutes(hours: str, minutes: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > 24 * 60:
        raise ValueError("times between 00:00 and 24:00")
    return total


def parse_holiday(text: str) -> Holiday:
    """Raises ValueError with what is expected."""
    ends = [_day(each.strip()) for each in text.split("/")]
    yearly = len(ends[0]) == 2
    if len(ends) > 2 or len(ends[0]) != len(ends[-1]) or (ends[0] > ends[-1] and not yearly):
        raise ValueError(HOLIDAY_EXPECTED)
    return Holiday(text, ends[0], ends[-1])


def _day(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"(\d{4}-)?\d\d-\d\d", text):
        raise ValueError(HOLIDAY_EXPECTED)
    day = tuple(map(int, text.split("-")))
    try:
        date(*day) if len(day) == 3 else date(_LEAP, *day)
    except ValueError:
        raise ValueError("a day that exists") from None
    return day


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a number is open; always, by default."""

    zone: tzinfo = UTC
    hours: tuple[Window, ...] = ()
    """Empty: at all hours."""
    quiet: tuple[Window, ...] = ()
    holidays: tuple[Holiday, ...] = ()

    def closed(self, at: datetime) -> str | None:
        """Return why the number is closed at `at`, an aware datetime; None if it is open."""
        if not (self.hours or self.quiet or self.holidays):
            return None
        local = at.astimezone(self.zone)
        for day in self.holidays:
            if day.covers(local):
                return f"holiday {day.text}"
        for each in self.quiet:
            if each.covers(local):
                return f"quiet hours {each.text}"
        if self.hours and not any(each.covers(local) for each in self.hours):
            return "outside the hours"
        return None


ALWAYS_OPEN = Timetable()
