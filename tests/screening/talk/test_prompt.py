from __future__ import annotations

from screening.contract import Message, News
from screening.talk import prompt
from screening.talk.tools import (
    DECIDE,
    REQUEST_CONNECT,
    TAKE_MESSAGE,
    Choice,
    Decision,
    NamedDestination,
    Tools,
)


def test_the_agent_says_that_it_is_an_automated_assistant() -> None:
    assert "automated assistant" in prompt.INSTRUCTIONS
    assert DECIDE in prompt.INSTRUCTIONS


def test_every_choice_has_an_answer() -> None:
    assert set(prompt.DECIDED) == set(Choice)


def test_phone_news_is_put_into_words() -> None:
    assert "the phone is busy" in prompt.phone_news(News.PHONE_BUSY)


def test_the_opening_is_verbatim_or_translated() -> None:
    assert prompt.opening("", None) is None
    assert (prompt.opening("Hello.", None) or "").endswith("nothing before or after it:\nHello.")
    assert "Say this in Polish" in (prompt.opening("Hello.", "pl") or "")


def test_other_destinations_are_offered_only_after_a_named_one_failed() -> None:
    tools = Tools(
        frozenset({REQUEST_CONNECT, TAKE_MESSAGE}), (NamedDestination("sales"), NamedDestination("workshop"))
    )
    told = prompt.phone_news(News.PHONE_BUSY, tools, ["sales"])
    assert "through to sales: the phone is busy" in told
    assert f"one of the others instead: workshop ({REQUEST_CONNECT})" in told
    assert f"take it yourself and call {TAKE_MESSAGE}" in told
    assert "instead" not in prompt.phone_news(News.PHONE_BUSY, tools, ["sales", "workshop"])
    assert "instead" not in prompt.phone_news(News.PHONE_BUSY, tools)


def test_a_message_taken_is_followed_by_goodbye_and_no_tone() -> None:
    taken = Decision(Choice.VOICEMAIL, "x", message=Message("hi"))
    assert "goodbye" in prompt.decided(taken)
    assert "tone" not in prompt.decided(taken)
    assert "tone" in prompt.decided(Decision(Choice.VOICEMAIL, "x"))
