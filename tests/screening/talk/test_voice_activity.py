from __future__ import annotations

import pytest

from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    Crossed,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
)
from screening.talk.voice_activity import Voice


def heard(*events: object) -> Voice:
    voice = Voice()
    for event in events:
        voice.hear(event)  # type: ignore[arg-type]
    return voice


def test_a_response_is_heard_after_it_is_made() -> None:
    voice = heard(ResponseBegan("r"), SoundBegan("r"))
    assert (voice.agent_thinks, voice.anyone_speaks, voice.said("r")) == (True, True, False)
    voice.hear(ResponseEnded("r", "completed"))
    assert (voice.agent_thinks, voice.anyone_speaks, voice.said("r")) == (False, True, False)
    voice.hear(SoundEnded("r"))
    assert (voice.agent_thinks, voice.anyone_speaks, voice.said("r")) == (False, False, True)


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_the_speaking_flag_clears_on_every_other_ending(status: str) -> None:
    voice = heard(ResponseBegan("r"), SoundBegan("r"), ResponseEnded("r", status))
    assert not voice.anyone_speaks
    assert voice.said("r")


def test_a_silent_response_was_said_when_it_was_made() -> None:
    assert heard(ResponseBegan("r"), ResponseEnded("r", "completed")).said("r")


def test_a_response_nobody_knows_was_said() -> None:
    assert heard().said("r")


def test_said_since_looks_only_at_what_began_later() -> None:
    voice = heard(ResponseBegan("a"), ResponseEnded("a", "completed"))
    mark = voice.mark()
    assert not voice.said_since(mark)
    voice.hear(SoundBegan("b"))
    assert not voice.said_since(mark)
    voice.hear(SoundEnded("b"))
    assert not voice.said_since(mark)
    voice.hear(ResponseEnded("b", "completed"))
    assert voice.said_since(mark)


def test_the_caller_speaks_until_he_pauses() -> None:
    voice = heard(CallerBegan())
    assert voice.anyone_speaks
    voice.hear(CallerPaused())
    assert not voice.anyone_speaks


def test_only_sounds_are_sounds() -> None:
    voice = Voice()
    assert voice.hear(CallerBegan())
    assert voice.hear(SoundBegan("r"))
    assert not voice.hear(AgentSaid("hello"))
    assert not voice.hear(ResponseBegan("r"))


def test_what_was_going_on_is_forgotten_after_a_gap() -> None:
    voice = heard(ResponseBegan("r"), SoundBegan("r"), CallerBegan())
    voice.forget()
    assert not voice.anyone_speaks
    assert not voice.agent_thinks


def test_a_sentence_is_heard_to_its_end_unless_it_is_cut() -> None:
    voice = Voice()
    for event in (ResponseBegan("r1"), SoundBegan("r1"), ResponseEnded("r1", "completed")):
        voice.hear(event)
    assert not voice.heard_since(0)
    voice.hear(SoundEnded("r1", cut=True))
    assert voice.said_since(0)
    assert not voice.heard_since(0)
    for event in (ResponseBegan("r2"), SoundBegan("r2"), ResponseEnded("r2", "completed"), SoundEnded("r2")):
        voice.hear(event)
    assert voice.heard_since(1)


def test_a_caller_who_spoke_into_a_sentence_and_got_no_other_is_unanswered() -> None:
    voice = Voice()
    voice.hear(ResponseBegan("r1"))
    assert not voice.unanswered(0)
    voice.hear(CallerBegan())
    assert not voice.unanswered(0)
    voice.hear(CallerPaused())
    assert voice.unanswered(0)
    voice.hear(ResponseBegan("r2"))
    assert not voice.unanswered(0)


def test_what_crossed_a_response_is_to_be_asked_for_again_once_that_has_ended() -> None:
    voice = Voice()
    mark = voice.mark()
    voice.hear(ResponseBegan("own"))
    voice.hear(Crossed())
    assert voice.crossed
    assert not voice.to_ask_again
    voice.hear(ResponseEnded("own", "completed"))
    assert voice.to_ask_again
    assert not voice.said_since(mark)
    voice.asked_again()
    assert not voice.to_ask_again
    assert not voice.said_since(mark)
    voice.hear(ResponseBegan("asked for"))
    voice.hear(ResponseEnded("asked for", "completed"))
    assert voice.said_since(mark)
    assert voice.since(mark) == 1


def test_what_crossed_a_response_whose_end_was_missed_is_asked_for_again_after_the_gap() -> None:
    voice = heard(ResponseBegan("own"), Crossed())
    voice.forget()
    assert voice.to_ask_again
