from __future__ import annotations

from screening import prompt
from screening.contract import News
from screening.tools import NAME, Choice


def test_the_agent_says_that_it_is_an_automated_assistant() -> None:
    assert "automated assistant" in prompt.INSTRUCTIONS
    assert NAME in prompt.INSTRUCTIONS


def test_every_choice_has_an_answer() -> None:
    assert set(prompt.DECIDED) == set(Choice)


def test_the_phones_news_is_told_in_words() -> None:
    assert "the phone is busy" in prompt.phone_news(News.PHONE_BUSY)
