"""Text to speech with espeak-ng, if installed: one run of the program per text."""

from __future__ import annotations

import asyncio
import shutil

from proxy.media.clip import Clip
from proxy.media.speech import MAX_S, MAX_TEXT, SpeechFailed
from proxy.media.wav import Sound, WavError, at_8_khz, read_wav

PROGRAM = "espeak-ng"
LIMIT_S = 5.0
"""Time limit for one text; it usually takes some hundredths of a second."""
_MAX_AT_ONCE = 4


class Espeak:
    """Runs `espeak-ng`, a few at a time. The text goes to its standard input, never into an argument."""

    def __init__(self, program: str = PROGRAM, limit_s: float = LIMIT_S) -> None:
        self._program, self._limit_s = program, limit_s
        self._room = asyncio.Semaphore(_MAX_AT_ONCE)

    @staticmethod
    def installed(program: str = PROGRAM) -> bool:
        """Whether the program is installed."""
        return shutil.which(program) is not None

    async def speak(self, text: str, language: str) -> Clip:
        """Speak the text. Raises SpeechFailed, also for an unsupported language."""
        try:
            async with asyncio.timeout(self._limit_s), self._room:
                sound = read_wav(await self._run(text[:MAX_TEXT], language))
                short = Sound(sound.rate, sound.samples[: round(MAX_S * sound.rate)])
                return Clip(await at_8_khz(short))
        except TimeoutError:
            raise SpeechFailed(f"{self._program} took longer than {self._limit_s:g} s") from None
        except WavError as error:
            raise SpeechFailed(f"{self._program} gave no speech: {error}") from None

    async def _run(self, text: str, language: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, "-v", language, "--stdin", "--stdout",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise SpeechFailed(f"{self._program} cannot be run: {error.strerror}") from None
        try:
            wav, _ = await process.communicate(text.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise SpeechFailed(f"{self._program} failed with status {process.returncode}")
        return wav
