"""Matching all patterns at once gives the same result as one by one."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import example, given, settings
from hypothesis import strategies as some

from screening.callers.wildcards import Wildcards


@settings(max_examples=200)
@given(some.lists(some.text("ab?*", max_size=6), max_size=6), some.text("ab", max_size=8))
@example(["*a*"], "bab")
@example(["**"], "")
@example(["a*b?*", "*b"], "ab")
def test_a_text_matches_if_one_of_the_patterns_matches_it_alone(patterns: list[str], text: str) -> None:
    found = Wildcards(patterns).find(text)
    matching = {pattern for pattern in patterns if fnmatchcase(text, pattern)}
    assert (found in matching) if matching else found is None


def test_special_characters_in_the_text_are_literal() -> None:
    assert Wildcards(["a"]).find("*") is None
    assert Wildcards(["?"]).find("one") is None
    assert not Wildcards([])
    assert Wildcards([""]).find("") == ""


def test_a_pattern_with_many_stars_does_not_backtrack_exponentially() -> None:
    assert Wildcards(["*a" * 20 + "*b"]).find("a" * 3000) is None
