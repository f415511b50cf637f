"""The speech port: fallback order of the voices, caching, and recorded prompts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy.media import speech
from proxy.media.clip import Clip
from proxy.media.speech import (
    A_CALL,
    FROM,
    LEAVE_MESSAGE,
    PHRASES,
    PRESS,
    PROMPTS,
    RECORDED,
    WITHHELD,
    CachedSpeech,
    FallbackSpeech,
    RecordedPrompts,
    SpeechFailed,
    speak_within,
)
from proxy.media.wav import read_wav


class Voice:
    """A voice that takes `takes_s`, then speaks or fails; `asked` records the requests."""

    def __init__(self, failure: str | None = None, takes_s: float = 0.0) -> None:
        self.failure = failure
        self.takes_s = takes_s
        self.sound = [1] * 160
        self.asked: list[str] = []

    async def speak(self, text: str, language: str) -> Clip:
        self.asked.append(f"{language}: {text}")
        await asyncio.sleep(self.takes_s)
        if self.failure:
            raise SpeechFailed(self.failure)
        return Clip(self.sound)


async def test_the_first_voice_that_can_speaks() -> None:
    hoarse, clear, unused = Voice("gone"), Voice(), Voice()
    clip = await FallbackSpeech([hoarse, clear, unused]).speak("Hello", "de")
    assert clip.seconds == 0.02
    assert (hoarse.asked, clear.asked, unused.asked) == (["de: Hello"], ["de: Hello"], [])


async def test_where_no_voice_can_the_last_one_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpeechFailed, match="no recorded prompt"):
        await FallbackSpeech([Voice("the account is empty"), RecordedPrompts()]).speak(
            "Grace has a parcel", "en"
        )
    printed = "".join(capsys.readouterr())
    assert "the account is empty" in printed
    assert "parcel" not in printed
    with pytest.raises(SpeechFailed, match="there is no voice"):
        await FallbackSpeech([]).speak("Hello", "en")


async def test_a_text_without_end_is_cut() -> None:
    voice = Voice()
    await FallbackSpeech([voice]).speak("a" * 10_000, "en")
    assert len(voice.asked[0]) == len("en: ") + speech.MAX_TEXT


async def test_what_was_spoken_last_is_remembered() -> None:
    voice = Voice()
    remembered = CachedSpeech(voice)
    clips = [await remembered.speak("Hello", "en") for _ in range(3)]
    assert clips[0] is clips[1] is clips[2]
    await remembered.speak("Hello", "de")
    for n in range(speech.MAX_CACHED):
        await remembered.speak(str(n), "en")
    assert await remembered.speak("Hello", "en") is not clips[0]


async def test_what_is_held_is_remembered_however_much_else_is_spoken() -> None:
    voice = Voice()
    remembered = CachedSpeech(voice)
    remembered.pin("Hello", "en")
    clip = await remembered.speak("Hello", "en")
    for n in range(2 * speech.MAX_CACHED):
        await remembered.speak(str(n), "en")
    assert await remembered.speak("Hello", "en") is clip
    assert len(remembered._clips) == speech.MAX_CACHED + 1


async def test_a_failure_is_not_remembered() -> None:
    voice = Voice("gone")
    remembered = CachedSpeech(voice)
    with pytest.raises(SpeechFailed):
        await remembered.speak("Hello", "en")
    voice.failure = None
    assert (await remembered.speak("Hello", "en")).seconds == 0.02


async def test_who_could_not_wait_leaves_it_to_the_next_who_asks() -> None:
    voice = Voice(takes_s=3)
    remembered = CachedSpeech(voice)
    speaks = FallbackSpeech([remembered, RecordedPrompts()])
    for _ in range(2):
        with pytest.raises(SpeechFailed, match="nothing was spoken within 1 s"):
            await speak_within(1, speaks, "Grüß Gott", "de")
    await asyncio.sleep(2)
    assert (await speak_within(1, speaks, "Grüß Gott", "de")).seconds == 0.02
    assert voice.asked == ["de: Grüß Gott"]
    with pytest.raises(SpeechFailed):
        await speak_within(1, speaks, "Servus", "de")
    await remembered.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_voice_that_hangs_keeps_nobody_from_what_another_remembers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    better, own = Voice("gone"), Voice()
    speaks = FallbackSpeech([CachedSpeech(better), CachedSpeech(own), RecordedPrompts()])
    await speaks.speak("Grüß Gott", "de")
    better.takes_s = 8
    for _ in range(2):
        assert (await speak_within(1, speaks, "Grüß Gott", "de")).seconds == 0.02
    await asyncio.sleep(10)
    assert "".join(capsys.readouterr()).count("gone") == 3
    better.failure, better.takes_s, better.sound = None, 3, [1] * 320
    assert (await speak_within(1, speaks, "Grüß Gott", "de")).seconds == 0.02
    await asyncio.sleep(4)
    assert (await speak_within(1, speaks, "Grüß Gott", "de")).seconds == 0.04
    assert len(own.asked) == 1


async def test_every_sentence_of_ours_is_recorded_and_short() -> None:
    for text in (RECORDED, LEAVE_MESSAGE, A_CALL, PRESS, f"{A_CALL} {PRESS}", f"{FROM} {WITHHELD}. {PRESS}"):
        assert 0.5 < (await RecordedPrompts().speak(text, "en")).seconds < 8


async def test_a_number_is_spoken_digit_by_digit() -> None:
    one, ten = [
        await RecordedPrompts().speak(f"{FROM} {digits}. {PRESS}", "en")
        for digits in ("4", "4 1 5 5 5 5 0 1 0 0")
    ]
    assert 4 < ten.seconds - one.seconds < 8


@pytest.mark.parametrize("text", ["", "...", "Call from Grace", "415"])
async def test_what_is_not_recorded_is_not_spoken(text: str) -> None:
    with pytest.raises(SpeechFailed):
        await RecordedPrompts().speak(text, "en")


def test_there_is_one_small_file_at_8_khz_for_every_phrase() -> None:
    files = {file.stem: file.read_bytes() for file in PROMPTS.glob("*.wav")}
    assert files.keys() == PHRASES.keys()
    assert sum(map(len, files.values())) < 300_000
    assert {read_wav(file).rate for file in files.values()} == {8000}


async def test_a_prompt_that_is_not_there_is_a_failure_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "PROMPTS", tmp_path)
    speech._recorded.cache_clear()
    with pytest.raises(SpeechFailed, match="prompt recorded cannot be read"):
        await RecordedPrompts().speak(RECORDED, "en")


async def test_who_is_too_slow_has_failed() -> None:
    class Slow:
        async def speak(self, text: str, language: str) -> Clip:
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().create_future()
            raise AssertionError

    with pytest.raises(SpeechFailed, match=r"nothing was spoken within 0\.01 s"):
        await speak_within(0.01, Slow(), "Hello", "en")
