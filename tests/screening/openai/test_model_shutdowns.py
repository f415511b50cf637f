from __future__ import annotations

from datetime import date

import pytest

from screening.openai.model_shutdowns import SHUTDOWNS, shutdowns
from screening.settings import AgentSettings

NOVEMBER, DECEMBER, LATER = date(2026, 11, 20), date(2026, 12, 1), date(2027, 2, 1)


def told(today: date, provider: str = "openai-realtime", **keys: str) -> list[str]:
    return list(map(str, shutdowns(AgentSettings("a", provider, **keys), today)))  # type: ignore[arg-type]


def test_a_model_is_warned_about_from_sixty_days_before_its_end() -> None:
    assert told(NOVEMBER, model="gpt-realtime") == []
    [line] = told(date(2026, 11, 21), model="gpt-realtime")
    assert line == 'agent a: model "gpt-realtime" is switched off on 2027-01-20: use "gpt-realtime-2.1"'


def test_after_its_end_it_was_switched_off() -> None:
    [line] = told(LATER, model="gpt-realtime-mini")
    assert (
        line
        == 'agent a: model "gpt-realtime-mini" was switched off on 2027-01-20: use "gpt-realtime-2.1-mini"'
    )


def test_the_previews_of_older_tutorials_have_ended_too() -> None:
    [line] = told(NOVEMBER, model="gpt-4o-mini-realtime-preview")
    assert line.endswith(
        '"gpt-4o-mini-realtime-preview" was switched off on 2026-05-07: use "gpt-realtime-2.1-mini"'
    )
    assert "2026-07-23" in told(NOVEMBER, model="gpt-realtime-mini-2025-10-06")[0]
    instead = {follows for _, follows in SHUTDOWNS.values()}
    assert not instead & SHUTDOWNS.keys()


def test_the_model_that_transcribes_ends_too() -> None:
    [line] = told(LATER, transcription="whisper-1")
    assert "transcription" in line
    assert told(LATER, "openai-live", model="gpt-live-1", transcription="whisper-1") == []


@pytest.mark.parametrize("provider", ["openai-realtime", "openai-live", "azure-realtime", "sip"])
def test_what_lives_on_and_what_is_not_openai_s_is_not_warned_about(provider: str) -> None:
    model = "gpt-live-1" if provider == "openai-live" else "gpt-realtime-2.1"
    assert told(LATER, provider, model=model) == []
    if provider in ("azure-realtime", "sip"):
        assert told(LATER, provider, model="gpt-realtime") == []
