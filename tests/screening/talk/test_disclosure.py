from __future__ import annotations

import pytest

from screening.talk.disclosure import NOTICES, consent, says_automated
from screening.talk.template import built_in, greeting_languages


@pytest.mark.parametrize("language", list(greeting_languages()))
def test_every_built_in_greeting_discloses_the_automation_and_the_consent_notice(language: str) -> None:
    text = built_in(f"greeting.{language}.txt")
    assert says_automated(text)
    assert "{{ consent }}" in text
    assert language in NOTICES


@pytest.mark.parametrize(
    "text",
    ["Sie sprechen mit einer KI.", "I am an AI.", "Vous parlez à une IA.", "un asistente virtual", "a robot"],
)
def test_disclosure_words_are_recognised_in_several_languages(text: str) -> None:
    assert says_automated(text)


@pytest.mark.parametrize(
    "text", ["Hello, this is Ada.", "Praxis Braun, guten Tag.", "Please hold, Kim again."]
)
def test_a_text_without_disclosure_words_is_recognised(text: str) -> None:
    assert not says_automated(text)


def test_the_consent_notice_names_exactly_what_is_stored() -> None:
    assert consent("en", transcribed=False, recorded=False) == ""
    assert consent("de-AT", transcribed=True, recorded=False) == "Dieses Gespräch wird mitgeschrieben."
    assert consent("fr", transcribed=False, recorded=True) == "Cet appel est enregistré."
    assert consent("pl", transcribed=True, recorded=True) == "This call is recorded and transcribed."
