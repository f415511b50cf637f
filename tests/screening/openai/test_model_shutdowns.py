from __future__ import annotations

from datetime import date

import pytest

from screening.openai.model_shutdowns import SHUTDOWNS, shutdowns
from screening.settings import AgentSettings

NOVEMBER, DECEMBER, LATER = date(2026, 11, 20), date(2026, 12, 1), date(2027, 2, 1)


def warnings_for(today: date, provider: str = "openai-realtime", **keys: str) -> list[str]:
    return list(map(str, shutdowns(AgentSettings("a", provider, **keys), today)))  # type: ignore[arg-type]


def test_a_model_gives_a_warning_from_sixty_days_before_its_shutdown() -> None:
    assert warnings_for(NOVEMBER, model="gpt-realtime") == []
    [line] = warnings_for(date(2026, 11, 21), model="gpt-realtime")
    assert line == 'agent a: model "gpt-realtime" is switched off on 2027-01-20: use "gpt-realtime-2.1"'


def test_after_its_shutdown_the_warning_is_in_the_past_tense() -> None:
    [line] = warnings_for(LATER, model="gpt-realtime-mini")
    assert (
        line
        == 'agent a: model "gpt-realtime-mini" was switched off on 2027-01-20: use "gpt-realtime-2.1-mini"'
    )


def test_preview_models_are_reported_and_replacements_are_current() -> None:
    [line] = warnings_for(NOVEMBER, model="gpt-4o-mini-realtime-preview")
    assert line.endswith(
        '"gpt-4o-mini-realtime-preview" was switched off on 2026-05-07: use "gpt-realtime-2.1-mini"'
    )
    assert "2026-07-23" in warnings_for(NOVEMBER, model="gpt-realtime-mini-2025-10-06")[0]
    instead = {follows for _, follows in SHUTDOWNS.values()}
    assert not instead & SHUTDOWNS.keys()


def test_the_transcription_model_gives_a_shutdown_warning() -> None:
    [line] = warnings_for(LATER, transcription="whisper-1")
    assert "transcription" in line
    assert warnings_for(LATER, "openai-live", model="gpt-live-1", transcription="whisper-1") == []


@pytest.mark.parametrize("provider", ["openai-realtime", "openai-live", "azure-realtime", "sip"])
def test_current_models_and_models_of_other_vendors_give_no_warning(provider: str) -> None:
    model = "gpt-live-1" if provider == "openai-live" else "gpt-realtime-2.1"
    assert warnings_for(LATER, provider, model=model) == []
    if provider in ("azure-realtime", "sip"):
        assert warnings_for(LATER, provider, model="gpt-realtime") == []
