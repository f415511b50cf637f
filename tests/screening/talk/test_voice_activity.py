from __future__ import annotations

import pytest

from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
    SpeechDropped,
)
from screening.talk.voice_activity import VoiceActivity


def activity_after(*events: object) -> VoiceActivity:
    voice = VoiceActivity()
    for event in events:
        voice.process(event)  # type: ignore[arg-type]
    return voice


def test_a_response_is_finished_when_its_sound_has_ended() -> None:
    voice = activity_after(ResponseBegan("r"), SoundBegan("r"))
    assert (voice.agent_generating, voice.anyone_speaks, voice.finished("r")) == (True, True, False)
    voice.process(ResponseEnded("r", "completed"))
    assert (voice.agent_generating, voice.anyone_speaks, voice.finished("r")) == (False, True, False)
    voice.process(SoundEnded("r"))
    assert (voice.agent_generating, voice.anyone_speaks, voice.finished("r")) == (False, False, True)


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_response_that_ends_without_completing_clears_the_speaking_state(status: str) -> None:
    voice = activity_after(ResponseBegan("r"), SoundBegan("r"), ResponseEnded("r", status))
    assert not voice.anyone_speaks
    assert voice.finished("r")


def test_a_response_without_sound_is_finished_when_it_is_completed() -> None:
    assert activity_after(ResponseBegan("r"), ResponseEnded("r", "completed")).finished("r")


def test_an_unknown_response_counts_as_finished() -> None:
    assert activity_after().finished("r")


def test_finished_since_considers_only_later_responses() -> None:
    voice = activity_after(ResponseBegan("a"), ResponseEnded("a", "completed"))
    mark = voice.mark()
    assert not voice.finished_since(mark)
    voice.process(SoundBegan("b"))
    assert not voice.finished_since(mark)
    voice.process(SoundEnded("b"))
    assert not voice.finished_since(mark)
    voice.process(ResponseEnded("b", "completed"))
    assert voice.finished_since(mark)


def test_the_caller_speaks_until_he_pauses() -> None:
    voice = activity_after(CallerBegan())
    assert voice.anyone_speaks
    voice.process(CallerPaused())
    assert not voice.anyone_speaks


def test_process_returns_true_only_for_sound_events() -> None:
    voice = VoiceActivity()
    assert voice.process(CallerBegan())
    assert voice.process(SoundBegan("r"))
    assert not voice.process(AgentSaid("hello"))
    assert not voice.process(ResponseBegan("r"))


def test_forget_clears_the_speaking_state() -> None:
    voice = activity_after(ResponseBegan("r"), SoundBegan("r"), CallerBegan())
    voice.forget()
    assert not voice.anyone_speaks
    assert not voice.agent_generating


def test_a_sentence_counts_as_heard_only_if_not_cut() -> None:
    voice = VoiceActivity()
    for event in (ResponseBegan("r1"), SoundBegan("r1"), ResponseEnded("r1", "completed")):
        voice.process(event)
    assert not voice.heard_since(0)
    voice.process(SoundEnded("r1", cut=True))
    assert voice.finished_since(0)
    assert not voice.heard_since(0)
    for event in (ResponseBegan("r2"), SoundBegan("r2"), ResponseEnded("r2", "completed"), SoundEnded("r2")):
        voice.process(event)
    assert voice.heard_since(1)


def test_a_caller_who_spoke_awaits_an_answer_until_the_next_response() -> None:
    voice = VoiceActivity()
    voice.process(ResponseBegan("r1"))
    assert not voice.awaits_answer(0)
    voice.process(CallerBegan())
    assert not voice.awaits_answer(0)
    voice.process(CallerPaused())
    assert voice.awaits_answer(0)
    voice.process(ResponseBegan("r2"))
    assert not voice.awaits_answer(0)


def test_dropped_speech_is_requested_again_after_the_current_response() -> None:
    voice = VoiceActivity()
    mark = voice.mark()
    voice.process(ResponseBegan("own"))
    voice.process(SpeechDropped())
    assert voice.speech_dropped
    assert not voice.should_ask_again
    voice.process(ResponseEnded("own", "completed"))
    assert voice.should_ask_again
    assert not voice.finished_since(mark)
    voice.asked_again()
    assert not voice.should_ask_again
    assert not voice.finished_since(mark)
    voice.process(ResponseBegan("asked for"))
    voice.process(ResponseEnded("asked for", "completed"))
    assert voice.finished_since(mark)
    assert voice.effective_mark(mark) == 1


def test_dropped_speech_is_requested_again_after_forget() -> None:
    voice = activity_after(ResponseBegan("own"), SpeechDropped())
    voice.forget()
    assert voice.should_ask_again
