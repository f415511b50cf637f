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
    """A voice that takes `takes_s`, then voices or fails; `asked` records the requests."""

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


async def test_first_working_voice_speaks() -> None:
    failing, working, unused = Voice("gone"), Voice(), Voice()
    clip = await FallbackSpeech([failing, working, unused]).speak("Hello", "de")
    assert clip.seconds == 0.02
    assert (failing.asked, working.asked, unused.asked) == (["de: Hello"], ["de: Hello"], [])


async def test_last_voice_s_failure_is_raised_and_earlier_ones_logged_without_the_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SpeechFailed, match="no recorded prompt"):
        await FallbackSpeech([Voice("the account is empty"), RecordedPrompts()]).speak(
            "Grace has a parcel", "en"
        )
    printed = "".join(capsys.readouterr())
    assert "the account is empty" in printed
    assert "parcel" not in printed
    with pytest.raises(SpeechFailed, match="there is no voice"):
        await FallbackSpeech([]).speak("Hello", "en")


async def test_long_text_is_cut() -> None:
    voice = Voice()
    await FallbackSpeech([voice]).speak("a" * 10_000, "en")
    assert len(voice.asked[0]) == len("en: ") + speech.MAX_TEXT


async def test_recent_clips_are_cached_by_text_and_language() -> None:
    voice = Voice()
    cached = CachedSpeech(voice)
    clips = [await cached.speak("Hello", "en") for _ in range(3)]
    assert clips[0] is clips[1] is clips[2]
    await cached.speak("Hello", "de")
    for n in range(speech.MAX_CACHED):
        await cached.speak(str(n), "en")
    assert await cached.speak("Hello", "en") is not clips[0]


async def test_pinned_clip_is_never_evicted() -> None:
    voice = Voice()
    cached = CachedSpeech(voice)
    cached.pin("Hello", "en")
    clip = await cached.speak("Hello", "en")
    for n in range(2 * speech.MAX_CACHED):
        await cached.speak(str(n), "en")
    assert await cached.speak("Hello", "en") is clip
    assert len(cached._clips) == speech.MAX_CACHED + 1


async def test_failure_is_not_cached() -> None:
    voice = Voice("gone")
    cached = CachedSpeech(voice)
    with pytest.raises(SpeechFailed):
        await cached.speak("Hello", "en")
    voice.failure = None
    assert (await cached.speak("Hello", "en")).seconds == 0.02


async def test_synthesis_continues_after_a_timeout_and_serves_the_next_request() -> None:
    voice = Voice(takes_s=3)
    cached = CachedSpeech(voice)
    voices = FallbackSpeech([cached, RecordedPrompts()])
    for _ in range(2):
        with pytest.raises(SpeechFailed, match="nothing was spoken within 1 s"):
            await speak_within(1, voices, "Grüß Gott", "de")
    await asyncio.sleep(2)
    assert (await speak_within(1, voices, "Grüß Gott", "de")).seconds == 0.02
    assert voice.asked == ["de: Grüß Gott"]
    with pytest.raises(SpeechFailed):
        await speak_within(1, voices, "Servus", "de")
    await cached.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_slow_voice_does_not_delay_a_clip_cached_by_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    better, own = Voice("gone"), Voice()
    voices = FallbackSpeech([CachedSpeech(better), CachedSpeech(own), RecordedPrompts()])
    await voices.speak("Grüß Gott", "de")
    better.takes_s = 8
    for _ in range(2):
        assert (await speak_within(1, voices, "Grüß Gott", "de")).seconds == 0.02
    await asyncio.sleep(10)
    assert "".join(capsys.readouterr()).count("gone") == 3
    better.failure, better.takes_s, better.sound = None, 3, [1] * 320
    assert (await speak_within(1, voices, "Grüß Gott", "de")).seconds == 0.02
    await asyncio.sleep(4)
    assert (await speak_within(1, voices, "Grüß Gott", "de")).seconds == 0.04
    assert len(own.asked) == 1


async def test_every_standard_prompt_is_recorded_and_short() -> None:
    for text in (RECORDED, LEAVE_MESSAGE, A_CALL, PRESS, f"{A_CALL} {PRESS}", f"{FROM} {WITHHELD}. {PRESS}"):
        assert 0.5 < (await RecordedPrompts().speak(text, "en")).seconds < 8


async def test_number_is_spoken_digit_by_digit() -> None:
    one, ten = [
        await RecordedPrompts().speak(f"{FROM} {digits}. {PRESS}", "en")
        for digits in ("4", "4 1 5 5 5 5 0 1 0 0")
    ]
    assert 4 < ten.seconds - one.seconds < 8


@pytest.mark.parametrize("text", ["", "...", "Call from Grace", "415"])
async def test_text_without_a_recorded_prompt_raises_speech_failed(text: str) -> None:
    with pytest.raises(SpeechFailed):
        await RecordedPrompts().speak(text, "en")


def test_every_phrase_has_one_small_8_khz_file() -> None:
    files = {file.stem: file.read_bytes() for file in PROMPTS.glob("*.wav")}
    assert files.keys() == PHRASES.keys()
    assert sum(map(len, files.values())) < 300_000
    assert {read_wav(file).rate for file in files.values()} == {8000}


async def test_missing_prompt_file_raises_speech_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "PROMPTS", tmp_path)
    speech._recorded.cache_clear()
    with pytest.raises(SpeechFailed, match="prompt recorded cannot be read"):
        await RecordedPrompts().speak(RECORDED, "en")


async def test_speak_within_raises_speech_failed_after_the_limit() -> None:
    class Slow:
        async def speak(self, text: str, language: str) -> Clip:
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().create_future()
            raise AssertionError

    with pytest.raises(SpeechFailed, match=r"nothing was spoken within 0\.01 s"):
        await speak_within(0.01, Slow(), "Hello", "en")
