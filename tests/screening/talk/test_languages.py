from __future__ import annotations

import pytest

from screening.talk.languages import choose, english_name
from screening.talk.template import greeting_languages


@pytest.mark.parametrize(
    ("country", "language"),
    [("FR", "fr"), ("CH", "de"), ("DE", "de"), ("US", "en-GB"), ("BR", "de"), (None, "de")],
)
def test_the_callers_country_chooses_among_the_languages_of_a_number(country: str, language: str) -> None:
    assert choose(["de", "fr", "en-GB"], country) == language


def test_each_language_has_an_english_name() -> None:
    assert (english_name("pt-BR"), english_name("xx")) == ("Portuguese", "the language with the code xx")
    assert all(english_name(each).istitle() for each in greeting_languages())
