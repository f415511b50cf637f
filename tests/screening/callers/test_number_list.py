"""Lists of telephone numbers, as written in the settings."""

from __future__ import annotations

import pytest

from screening.callers.number_list import NumberList

LIST = [
    "+1 415-555-0100",
    "(415) 555-0101",
    "911",
    "+1900*",
    "+19005*",
    "+14155550200..+14155550299",
    "+14155550250 - +14155550350",
    "+1415555??99",
    "*0000",
]


@pytest.mark.parametrize(
    ("number", "entry"),
    [
        ("+14155550100", "+14155550100"),
        ("+14155550101", "+14155550101"),
        ("911", "911"),
        ("+19001234567", "+1900*"),
        ("+14155550200", "+14155550200..+14155550299"),
        ("+14155550350", "+14155550200..+14155550299"),
        ("+14155551299", "+1415555??99"),
        ("+442079460000", "*0000"),
        ("+14155550351", None),
        ("+14155550198", None),
        ("+1415555099", None),
        ("+49911", None),
        ("anonymous", None),
    ],
)
def test_a_number_is_found_exactly_or_by_its_pattern(number: str, entry: str | None) -> None:
    assert NumberList(LIST, "us").find(number) == entry


@pytest.mark.parametrize(
    ("entry", "number"),
    [
        ("+1900*", "+19001234567"),
        ("+14155550200..+14155550299", "+14155550200"),
        ("+14155550200..+14155550299", "+14155550299"),
        ("*0000", "+442079460000"),
        ("911", "911"),
    ],
)
def test_a_list_of_one_entry_of_any_kind_matches(entry: str, number: str) -> None:
    assert NumberList([entry], "us").find(number) == entry
    assert NumberList([entry], "us").find("+14155550300") is None


def test_membership_covers_exact_entries_but_not_patterns() -> None:
    numbers = NumberList(LIST, "us")
    assert "+14155550100" in numbers
    assert "+19001234567" not in numbers
    assert numbers.find_pattern("+14155550100") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "*",
        "+*?",
        "0900*",
        "+1415*x",
        "+1415555010012345",
        "+14155550299..+14155550200",
        "+1415..+49",
    ],
)
def test_a_malformed_entry_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"a number|a pattern|a range"):
        NumberList([text])
