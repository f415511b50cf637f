from __future__ import annotations

from screening.openai.live_transcript import AGENT, CALLER, MAX_CHARS, MAX_LINE_S, QUIET_S, LiveTranscript
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


def close_finished(text: str, name: str = "line 1") -> list[object]:
    return [AgentSaid(text), ResponseEnded(name, "completed"), SoundEnded(name)]


def test_pieces_without_a_pause_are_one_line() -> None:
    lines = LiveTranscript()
    assert lines.add(AGENT, "Hello, ", 0, 400, 10.0) == BEGAN
    assert lines.add(AGENT, "who is calling?", 400, 1200, 10.4) == []
    assert lines.due == 11.2 + QUIET_S
    assert lines.close_finished(11.2) == []
    assert lines.close_finished(12.0) == close_finished("Hello, who is calling?")
    assert lines.due is None


def test_a_line_reported_early_ends_after_its_spoken_duration() -> None:
    lines = LiveTranscript()
    for at in range(5):
        lines.add(AGENT, "word ", at * 1000, at * 1000 + 1000, 10.0 + at / 100)
    assert lines.due == 15.0 + QUIET_S


def test_a_line_reported_late_ends_after_its_last_piece() -> None:
    lines = LiveTranscript()
    lines.add(CALLER, "Hi", 5000, 5100, 20.0)
    lines.add(CALLER, " there", 5100, 5300, 22.0)
    assert lines.due == 22.0 + QUIET_S
    assert lines.close_finished(22.8) == [CallerPaused(), CallerSaid("Hi there")]


def test_overlapping_lines_are_written_in_order_of_their_end() -> None:
    lines = LiveTranscript()
    lines.add(AGENT, "May I ask ", 0, 500, 1.0)
    assert lines.add(CALLER, "Wait", 400, 700, 1.4) == [CallerBegan()]
    assert lines.agent_response == "line 1"
    assert lines.unfinished == [(AGENT, "May I ask"), (CALLER, "Wait")]
    assert lines.close_finished(9.0) == [*close_finished("May I ask"), CallerPaused(), CallerSaid("Wait")]
    assert lines.agent_response == ""


def test_a_piece_after_a_gap_on_the_timeline_begins_a_new_line() -> None:
    lines = LiveTranscript()
    lines.add(AGENT, "One.", 0, 500, 1.0)
    assert lines.add(AGENT, "Two.", 2100, 2500, 1.1) == [
        *close_finished("One."),
        ResponseBegan("line 2"),
        SoundBegan("line 2"),
    ]


def test_whitespace_begins_no_line() -> None:
    lines = LiveTranscript()
    assert lines.add(AGENT, " ", 0, 100, 1.0) == []
    assert lines.due is None


def test_implausible_times_are_limited_to_the_maximum_line_duration() -> None:
    lines = LiveTranscript()
    lines.add(AGENT, "Hm", 0, 10**12, 1.0)
    assert lines.due == 1.0 + MAX_LINE_S + QUIET_S
    lines = LiveTranscript()
    lines.add(AGENT, "Hm", 900, -5, 1.0)
    assert lines.due == 1.0 + QUIET_S


def test_a_very_long_line_is_split() -> None:
    lines = LiveTranscript()
    events = [event for n in range(1000) for event in lines.add(AGENT, "ha" * 50, n, n, 1.0)]
    texts = [event.text for event in events if isinstance(event, AgentSaid)]
    assert len(texts) > 40
    assert max(map(len, texts)) <= 2 * MAX_CHARS


def test_caller_until_ms_is_the_end_of_the_last_caller_piece() -> None:
    lines = LiveTranscript()
    lines.add(CALLER, "Hi", 100, 900, 1.0)
    lines.add(AGENT, "Hello", 2000, 3000, 1.0)
    assert lines.caller_until_ms == 900


def test_closing_ends_every_line() -> None:
    lines = LiveTranscript()
    lines.add(AGENT, "Hello", 0, 100, 1.0)
    assert lines.close() == close_finished("Hello")
    assert lines.close() == []
