from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.border import Identity
from proxy.call.phrases import LANGUAGES
from proxy.call.routing import Confirmation
from proxy.call.whisper_text import MAX_NAME, MAX_REASON, Announcement, digits, speakable
from proxy.media.speech import KEYS, PRESS, RECORDED, UNSCREENED, RecordedPrompts
from screening.contract import Connect, Decline
from tests.kit import messages

OFF, WARNED, WHISPER, PRESS_1 = Confirmation
GRACE = Announcement("Grace", "+14155550148", "She brings the cake", unscreened=False)


def test_the_whisper_names_the_caller_the_reason_and_the_keys() -> None:
    assert GRACE.text("en", PRESS_1) == (
        "Call from Grace. She brings the cake. Press 1 to accept, 2 for voicemail."
    )
    assert GRACE.text("en-GB", WHISPER) == "Call from Grace. She brings the cake."
    assert GRACE.text("en", OFF) == ""


def test_without_a_name_the_number_is_spoken_digit_by_digit() -> None:
    assert Announcement(number="+14155550148").text("en", WHISPER) == "Call from 1 4 1 5 5 5 5 0 1 4 8."
    assert Announcement().text("en", WHISPER) == "Call from a caller without a number."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_parts_of_the_whisper(language: str) -> None:
    announced = Announcement("Grace", None, "Der Kuchen", unscreened=True, recorded=True)
    words = LANGUAGES[language]
    text = announced.text(f"{language.upper()}-XX", PRESS_1)
    assert text == f"{words.caller} Grace. Der Kuchen. {words.unscreened} {words.recorded} {words.press}"
    assert announced.text(language, OFF) == words.recorded
    assert announced.text(language, WARNED) == f"{words.unscreened} {words.recorded}"
    with_keys = replace(announced, keys=True)
    assert with_keys.text(language, PRESS_1) == f"{text} {words.keys}"
    assert with_keys.text(language, WHISPER) == announced.text(language, WHISPER)


def test_an_unsupported_language_falls_back_to_english() -> None:
    assert Announcement("Grace").text("eo", WHISPER) == "Call from Grace."


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ("Dr. O'Brien-Smith", "Dr. O'Brien-Smith"),
        ("Zoë Müller, 2nd", "Zoë Müller, 2nd"),
        ("<speak><break time='9s'/>Bob", "speak break time '9s' Bob"),
        ("[[g'eIs]] \x00\r\nX_Y", "g'eIs X Y"),
        ("{{system}} `rm -rf` $(x)", "system rm -rf x"),
        (None, ""),
        ("***", ""),
    ],
)
def test_markup_and_control_characters_are_stripped_from_spoken_text(given: str | None, spoken: str) -> None:
    assert speakable(given, 60) == spoken


def test_long_spoken_text_is_cut_at_a_word_boundary() -> None:
    assert speakable("one two three", 9) == "one two"
    assert speakable("abcdefghijk", 5) == "abcde"
    assert len(Announcement("n " * 500, None, "r " * 500).text("en", OFF)) == 0
    long = Announcement("n" * 500, None, "r " * 500).text("en", WHISPER)
    assert len(long) < MAX_NAME + MAX_REASON + 20


def test_the_agents_name_for_the_caller_overrides_the_carriers() -> None:
    caller = Identity.of(messages.invite(), trusted=True)
    found = Announcement.of(caller, Connect("the cake", "Grace"), unscreened=False, recorded=True)
    assert (found.name, found.reason, found.recorded) == ("Grace", "the cake", True)
    kept = Announcement.of(caller, Decline("no", "Eve"), unscreened=True, recorded=False)
    assert (kept.name, kept.number, kept.reason, kept.unscreened) == (caller.name, caller.number, None, True)


@pytest.mark.parametrize("wanted", [WHISPER, PRESS_1])
@pytest.mark.parametrize(
    "announced",
    [
        GRACE,
        Announcement(),
        Announcement(number="+14155550148", recorded=True),
        Announcement(None, unscreened=True),
    ],
)
@pytest.mark.parametrize("keys", [False, True])
async def test_the_recorded_prompts_cover_everything_except_name_and_reason(
    announced: Announcement, wanted: Confirmation, keys: bool
) -> None:
    text = replace(announced, keys=keys).generic(wanted)
    assert (RECORDED in text) == announced.recorded
    assert (UNSCREENED in text) == announced.unscreened
    assert (PRESS in text) == (wanted is PRESS_1)
    assert (KEYS in text) == (keys and wanted is PRESS_1)
    assert (await RecordedPrompts().speak(text, "de")).seconds > 0.5


async def test_without_confirmation_only_unscreened_and_recorded_are_announced() -> None:
    assert GRACE.text("en", OFF) == GRACE.text("en", WARNED) == ""
    told = replace(GRACE, unscreened=True, recorded=True)
    assert told.generic(OFF) == RECORDED
    assert told.generic(WARNED) == f"{UNSCREENED} {RECORDED}"
    assert (await RecordedPrompts().speak(told.generic(WARNED), "en")).seconds > 2


def test_digits_are_spoken_without_plus_and_separators() -> None:
    assert digits("+44 20-7946") == "4 4 2 0 7 9 4 6"
    assert digits(None) == digits("anonymous") == ""
