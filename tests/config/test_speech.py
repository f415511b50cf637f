"""Settings for voices, call recording and the press-1 prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config import Settings
from proxy.media.speech import LEAVE_MESSAGE, RECORDED
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]


def test_by_default_calls_are_not_recorded_and_prompts_have_default_texts(
    parse_settings: ParseSettings,
) -> None:
    settings = parse_settings(GOOD)
    screening, speech = settings.screening, settings.speech
    assert (screening.record, screening.record_announced, screening.announcement) == ("off", True, RECORDED)
    assert screening.voicemail_greeting == LEAVE_MESSAGE
    assert (speech.provider, speech.language, speech.cache) == (None, "en", Path("speech"))
    assert (settings.numbers[0].confirm, settings.numbers[0].confirm_limit_s) == (None, 20.0)


def test_recording_may_be_enabled_for_one_number(parse_settings: ParseSettings) -> None:
    settings = parse_settings(GOOD + 'record = "on"\n')
    assert settings.screening_of(settings.numbers[0]).record == "on"
    assert settings.screening.record == "off"


def test_a_multiline_announcement_is_joined_to_one_line(parse_settings: ParseSettings) -> None:
    text = GOOD.replace(
        "[[number]]", '[screening]\nannouncement = """\n Recorded,\n you know. """\n[[number]]'
    )
    assert parse_settings(text).screening.announcement == "Recorded, you know."


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (
            '[speech]\nlanguage = "English, please"',
            "speech.language: expected a language, such as en or pt-BR",
        ),
        ("[speech]\nlanguage = 3", "speech.language: expected a language, such as en or pt-BR"),
        ('[speech]\nprovider = "google"', 'speech.provider: expected one of "openai", "espeak" or "prompts"'),
        ('[speech]\napi_key = "sk-plain"', "speech.api_key: expected env:NAME or file:PATH"),
        ('[speech]\napi_base = "http://speech.example.com/v1"', "speech.api_base: expected an https:// URL"),
        ("[speech]\npatience_s = 0", "speech.patience_s: expected seconds between 0.1 and 60"),
        ('[screening]\nrecord = "yes"', 'screening.record: expected one of "off" or "on"'),
        ("[screening]\nannouncement = 5", "screening.announcement: expected a text to speak"),
        (f'[screening]\nvoicemail_greeting = "{"x" * 501}"', "screening.voicemail_greeting: expected a text"),
        ("[screening]\nvoicemail_silence_s = 0", "screening.voicemail_silence_s: expected seconds between 1"),
        (
            "[screening]\nvoicemail_least_s = 61",
            "screening.voicemail_least_s: expected seconds between 0 and",
        ),
    ],
)
def test_an_invalid_speech_setting_gives_one_problem_line(faults: Faults, table: str, line: str) -> None:
    [fault] = faults(GOOD.replace("[[number]]", f"{table}\n[[number]]"))
    assert fault.startswith(line)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ('confirm = "yes"', 'number[0].confirm: expected one of "press-1", "whisper", "unscreened" or "off"'),
        ("confirm_limit_s = 1", "number[0].confirm_limit_s: expected seconds between 5 and 120"),
    ],
)
def test_an_invalid_confirm_setting_of_a_number_gives_one_problem_line(
    faults: Faults, key: str, line: str
) -> None:
    [fault] = faults(f"{GOOD}{key}\n")
    assert fault.startswith(line)


def test_openai_speech_requires_its_own_api_key_or_that_of_an_agent(
    faults: Faults, parse_settings: ParseSettings
) -> None:
    sip = GOOD.replace('srtp = "off"', 'srtp = "off"\nprovider = "sip"').replace(
        'api_key = "env:OPENAI_API_KEY"', ""
    )
    wanted = sip.replace("[[number]]", '[speech]\nprovider = "openai"\n[[number]]')
    assert faults(wanted) == [
        "speech.api_key: expected env:NAME or file:PATH (provider openai needs it), got nothing"
    ]
    parse_settings(GOOD.replace("[[number]]", '[speech]\nprovider = "openai"\n[[number]]'))  # the agent's key
    parse_settings(wanted.replace('"openai"\n[[', '"openai"\napi_key = "env:OPENAI_API_KEY"\n[['))
