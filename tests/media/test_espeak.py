"""Speech by espeak-ng: the real program where installed, and stand-ins that misbehave."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from proxy.media.espeak import Espeak
from proxy.media.speech import SpeechFailed


def program(folder: Path, script: str) -> str:
    path = folder / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


pytestmark = pytest.mark.network  # programs run in true time


async def test_longer_text_gives_longer_speech() -> None:
    assert Espeak.installed()
    voice = Espeak()
    short, long = [await voice.speak("Press 1. " * n, "en") for n in (1, 4)]
    assert 0.5 < short.seconds < 2
    assert long.seconds > 2.5 * short.seconds


async def test_german_is_spoken_and_an_unknown_language_raises_speech_failed() -> None:
    assert (await Espeak().speak("Drücken Sie die Eins.", "de")).seconds > 0.5
    with pytest.raises(SpeechFailed, match=r"espeak-ng (failed with status|gave no speech)"):
        await Espeak().speak("Hello", "xx")


async def test_text_that_looks_like_an_option_is_spoken() -> None:
    assert (await Espeak().speak("--help; rm -rf /", "en")).seconds > 0.5


async def test_concurrent_requests_are_all_spoken() -> None:
    voice = Espeak()
    clips = await asyncio.gather(*(voice.speak(f"Number {n}", "en") for n in range(12)))
    assert all(clip.seconds > 0.3 for clip in clips)


async def test_missing_program_raises_speech_failed() -> None:
    assert not Espeak.installed("espeak-of-nowhere")
    with pytest.raises(SpeechFailed, match="cannot be run: No such file"):
        await Espeak("espeak-of-nowhere").speak("Hello", "en")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "failed with status 3"),
        ("echo hello", "gave no speech: it is not a WAV file"),
        ("cat >/dev/null", "gave no speech: it is not a WAV file"),
        ("exec 0<&-; exit 0", "gave no speech"),
    ],
)
async def test_failing_program_raises_speech_failed_with_the_reason(
    tmp_path: Path, script: str, why: str
) -> None:
    with pytest.raises(SpeechFailed, match=why):
        await Espeak(program(tmp_path, script)).speak("Hello", "en")


async def test_hung_program_is_killed_after_the_limit(tmp_path: Path) -> None:
    hanging = program(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 60")
    with pytest.raises(SpeechFailed, match=r"took longer than 1 s"):
        await Espeak(hanging, limit_s=1.0).speak("Hello", "en")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
