"""Settings for call outcomes: challenges, refusal status codes and 608 cards."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Settings, SettingsError, parse

TEXT = """
public = {{ host = "sbc.example.com", address = "203.0.113.10" }}
listen = [ {{ transport = "udp", bind = "0.0.0.0:5060" }} ]
trunk = [ {{ name = "t", from = ["192.0.2.1"], outbound = "sip:t.example", caller_id = "+14155550100" }} ]
agent = [ {{ name = "a", provider = "sip", sip = "sip:a@192.0.2.9" }} ]

[screening]
{common}

[[number]]
dialed = "+14155551234"
destinations = ["tel:+14155559876"]
{own}
"""


def settings(common: str = "", own: str = "") -> Settings:
    return parse(TEXT.format(common=common, own=own), {}, file="t.toml", folder=Path())


def test_by_default_the_gate_is_off_and_refusals_are_603() -> None:
    common = settings().screening
    assert (common.gate, common.challenge_tries, common.challenge_limit_s) == ("off", 3, 10.0)
    assert (common.reject_with, common.block_with, common.whisper_keys) == (603, None, "off")
    assert (common.voicemail_transcript, common.voicemail_transcript_model) == ("on", "gpt-transcribe")


def test_outcome_settings_of_a_number_override_the_common_ones() -> None:
    told = settings(
        'gate = "challenge"\nblock_with = 607\nchallenge_tries = 2',
        'gate = "off"\nreject_with = 486\non_failure = "challenge"\nwhisper_keys = "on"',
    )
    mine = told.screening_of(told.numbers[0])
    assert (mine.gate, mine.block_with, mine.reject_with, mine.challenge_tries) == ("off", 607, 486, 2)
    assert (mine.on_failure, mine.whisper_keys) == ("challenge", "on")


def test_every_kind_of_caller_may_be_challenged() -> None:
    kinds = ("anonymous", "international", "out_of_hours", "untrusted")
    common = settings("\n".join(f'{kind} = "challenge"' for kind in kinds)).screening
    assert {getattr(common, kind) for kind in kinds} == {"challenge"}


@pytest.mark.parametrize(
    ("common", "own", "complaint"),
    [
        ("reject_with = 600", "", "screening.reject_with: expected one of 603, 607, 608, 486 or 404"),
        ('reject_with = "603"', "", "screening.reject_with: expected one of 603, 607, 608, 486 or 404"),
        ("", "block_with = true", "number[0].block_with: expected one of 603, 607, 608, 486 or 404"),
        ("block_with = 608", "", "screening.reject_card: expected the https address of a signed jCard"),
        ("", "reject_with = 608", "number[0].reject_card: expected the https address of a signed jCard"),
        ('reject_card = "http://example.com/c"', "", "screening.reject_card: expected an https address"),
        ('reject_card = "https://example.com/>;x"', "", "screening.reject_card: expected an https address"),
        ("challenge_tries = 0", "", "screening.challenge_tries: expected"),
        ("challenge_limit_s = 1", "", "screening.challenge_limit_s: expected seconds between 5 and 60"),
        ('gate = "ask"', "", 'screening.gate: expected one of "off" or "challenge"'),
        ('challenge_failed = "ring"', "", "screening.challenge_failed: expected one of"),
        ('whisper_keys = "yes"', "", "screening.whisper_keys: expected one of"),
        ("", 'voicemail_transcript_model = "x"', "number[0].voicemail_transcript_model"),
    ],
)
def test_an_invalid_outcome_setting_gives_one_problem_line(common: str, own: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings(common, own)
    [problem] = error.value.problems
    assert complaint in str(problem)


def test_a_number_with_608_uses_the_common_reject_card() -> None:
    told = settings('reject_card = "https://example.com/complain.jws"', "reject_with = 608")
    assert told.screening_of(told.numbers[0]).reject_card == "https://example.com/complain.jws"
