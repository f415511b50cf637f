from __future__ import annotations

from screening.openai.live_transcript import AGENT, CALLER, LONGEST_S, MAX_CHARS, QUIET_S, LiveLines
from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    CallerSaid,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
)

BEGAN = [ResponseBegan("line 1"), SoundBegan("line 1")]


def ended(text: str, name: str = "line 1") -> list[object]:
    return [AgentSaid(text), ResponseEnded(name, "completed"), SoundEnded(name)]


def test_pieces_without_a_pause_are_one_line() -> None:
    lines = LiveLines()
    assert lines.said(AGENT, "Hello, ", 0, 400, 10.0) == BEGAN
    assert lines.said(AGENT, "who is calling?", 400, 1200, 10.4) == []
    assert lines.due == 11.2 + QUIET_S
    assert lines.ended(11.2) == []
    assert lines.ended(12.0) == ended("Hello, who is calling?")
    assert lines.due is None


def test_a_line_told_before_it_is_heard_lasts_as_long_as_it_spans() -> None:
    lines = LiveLines()
    for at in range(5):
        lines.said(AGENT, "word ", at * 1000, at * 1000 + 1000, 10.0 + at / 100)
    assert lines.due == 15.0 + QUIET_S


def test_a_line_told_after_it_was_heard_lasts_until_its_last_piece_has_come() -> None:
    lines = LiveLines()
    lines.said(CALLER, "Hi", 5000, 5100, 20.0)
    lines.said(CALLER, " there", 5100, 5300, 22.0)
    assert lines.due == 22.0 + QUIET_S
    assert lines.ended(22.8) == [CallerPaused(), CallerSaid("Hi there")]


def test_both_may_speak_at_once_and_who_ends_first_is_written_first() -> None:
    lines = LiveLines()
    lines.said(AGENT, "May I ask ", 0, 500, 1.0)
    assert lines.said(CALLER, "Wait", 400, 700, 1.4) == [CallerBegan()]
    assert lines.agents == "line 1"
    assert lines.unfinished == [(AGENT, "May I ask"), (CALLER, "Wait")]
    assert lines.ended(9.0) == [*ended("May I ask"), CallerPaused(), CallerSaid("Wait")]
    assert lines.agents == ""


def test_a_piece_much_later_on_the_timeline_begins_a_new_line() -> None:
    lines = LiveLines()
    lines.said(AGENT, "One.", 0, 500, 1.0)
    assert lines.said(AGENT, "Two.", 2100, 2500, 1.1) == [
        *ended("One."),
        ResponseBegan("line 2"),
        SoundBegan("line 2"),
    ]


def test_nothing_said_begins_no_line() -> None:
    lines = LiveLines()
    assert lines.said(AGENT, " ", 0, 100, 1.0) == []
    assert lines.due is None


def test_what_a_vendor_says_of_time_cannot_hold_a_line_open_for_ever() -> None:
    lines = LiveLines()
    lines.said(AGENT, "Hm", 0, 10**12, 1.0)
    assert lines.due == 1.0 + LONGEST_S + QUIET_S
    lines = LiveLines()
    lines.said(AGENT, "Hm", 900, -5, 1.0)
    assert lines.due == 1.0 + QUIET_S


def test_a_line_without_end_is_cut() -> None:
    lines = LiveLines()
    events = [event for n in range(1000) for event in lines.said(AGENT, "ha" * 50, n, n, 1.0)]
    texts = [event.text for event in events if isinstance(event, AgentSaid)]
    assert len(texts) > 40
    assert max(map(len, texts)) <= 2 * MAX_CHARS


def test_how_far_the_caller_is_known_is_told() -> None:
    lines = LiveLines()
    lines.said(CALLER, "Hi", 100, 900, 1.0)
    lines.said(AGENT, "Hello", 2000, 3000, 1.0)
    assert lines.caller_until_ms == 900


def test_closing_ends_every_line() -> None:
    lines = LiveLines()
    lines.said(AGENT, "Hello", 0, 100, 1.0)
    assert lines.close() == ended("Hello")
    assert lines.close() == []
