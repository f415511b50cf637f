"""Which callers are screened: caller lists in [screening], and how [[number]] overrides them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.config import Settings
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]
BEFORE_NUMBER = "[[number]]"


def common(text: str) -> str:
    return GOOD.replace(BEFORE_NUMBER, f"[screening]\n{text}\n[[number]]")


def test_a_number_extends_the_caller_lists_and_overrides_single_values(parse_settings: ParseSettings) -> None:
    text = common(
        'block = ["+1900*"]\nvip = ["+14155550100"]\ntime_zone = "Europe/Berlin"\nquiet = ["22:00-07:00"]\n'
        'holidays = [2026-12-25, "01-01"]\nanonymous = "reject"'
    )
    settings = parse_settings(
        f'{text}\nblock = ["+4930*"]\nquiet = ["20:00-08:00"]\nrepeat_s = 0\ncountry = "de"'
    )
    [number] = settings.numbers
    told = settings.screening_of(number)
    assert (told.block, told.vip) == (("+1900*", "+4930*"), ("+14155550100",))
    assert (told.quiet, told.holidays) == (("20:00-08:00",), ("2026-12-25", "01-01"))
    assert (told.anonymous, told.repeat_s, told.country) == ("reject", 0.0, "DE")
    assert str(told.time_zone) == "Europe/Berlin"
    assert (told.out_of_hours, told.untrusted) == ("voicemail", "voicemail")
    assert settings.screening.block == ("+1900*",)


@pytest.mark.parametrize(
    ("screen", "more", "asked"),
    [
        ("unknown", "", True),
        ("everyone", "", True),
        ("off", "", False),
        ("trusted", "", False),
        ("trusted", 'anonymous = "ask"', True),
        ("off", 'out_of_hours = "ask"', True),
        ("off", 'out_of_hours = "reject"', False),
    ],
)
def test_a_number_has_an_agent_only_if_some_caller_may_be_asked(
    parse_settings: ParseSettings, screen: str, more: str, asked: bool
) -> None:
    settings = parse_settings(f'{GOOD}\nscreen = "{screen}"\n{more}')
    assert (settings.agent_of(settings.numbers[0]) is not None) is asked


def test_a_number_that_asks_any_kind_of_caller_requires_an_agent(
    parse_settings: ParseSettings, faults: Faults
) -> None:
    without = GOOD[: GOOD.index("[[agent]]")] + GOOD[GOOD.index("[[number]]") :]
    assert parse_settings(f'{without}\nscreen = "trusted"').agents == ()
    assert faults(f'{without}\nscreen = "trusted"\nanonymous = "ask"') == [
        "agent: expected at least one [[agent]] table, got none"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'country = "usa"',
            "screening.country: expected a country of two letters, such as us or de, got",
        ),
        ('home = ["xx"]', 'screening.home[0]: expected a country of two letters, such as us or de, got "xx"'),
        ('time_zone = "Mars/Base"', "screening.time_zone: expected a time zone, such as America/New_York or"),
        ('time_zone = "../x"', "screening.time_zone: expected a time zone, such as America/New_York or"),
        ("time_zone = 5", "screening.time_zone: expected a time zone, such as America/New_York or"),
        (
            'quiet = ["22:00-07:00"]',
            "screening.time_zone: expected a time zone (quiet needs it)",
        ),
        ('contacts = ["nowhere.csv"]', "screening.contacts[0]: expected"),
        (
            'anonymous = "hang up"',
            'screening.anonymous: expected one of "ask", "ring",',
        ),
        (
            'out_of_hours = "ring"',
            'screening.out_of_hours: expected one of "ask", "challenge", "voicemail" or "reject"',
        ),
        ("block = [5]", "screening.block[0]: expected a text of one line, got 5"),
        ('time_zone = "UTC"\nholidays = [5]', "screening.holidays[0]: expected a text of one line, got 5"),
        ("repeat_s = -1", "screening.repeat_s: expected seconds between 0 and 86400, got -1"),
    ],
)
def test_an_invalid_screening_value_gives_one_problem_line(faults: Faults, text: str, problem: str) -> None:
    [found] = faults(common(text))
    assert found.startswith(problem)
