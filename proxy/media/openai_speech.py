"""Text to speech with OpenAI's speech endpoint: one POST per text, with a cache on disk."""

from __future__ import annotations

import asyncio
import hashlib
import re
from array import array
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from proxy.media.clip import Clip
from proxy.media.disk_writer import Disk, at_once
from proxy.media.speech import MAX_S, MAX_TEXT, SpeechFailed
from proxy.media.wav import RATE, Sound, WavError, at_8_khz, read_wav, write_wav

MAX_BYTES = 8_000_000
"""Limit for a response: a minute at 48 kHz is less."""
MAX_FILES = 500
"""Most files in the cache; the oldest are deleted first."""
_NAME = re.compile(r"[0-9a-f]{32}\.(wav|part)")
_ADVICE: Mapping[int, str] = {
    401: "the API key is not valid",
    403: "the API key may not do this",
    404: "the model or the address is not known there",
    429: "the account's rate limit or budget is reached",
}


@dataclass(frozen=True, slots=True)
class OpenAIVoice:
    """Settings: the voice and the account."""

    api_base: str
    api_key: str
    model: str = "gpt-4o-mini-tts"
    voice: str = "alloy"
    project: str | None = None
    limit_s: float = 8.0
    """Time limit for one text."""


class OpenAISpeech:
    """``POST /audio/speech``, cached on disk."""

    def __init__(
        self, voice: OpenAIVoice, http: httpx2.AsyncClient, cache: Path | None = None, disk: Disk = at_once
    ) -> None:
        """`disk` writes the files in `cache`; None: no cache."""
        self._voice, self._http = voice, http
        self._cache, self._disk = cache, disk
        self._url = f"{voice.api_base.rstrip('/')}/audio/speech"

    async def speak(self, text: str, language: str) -> Clip:
        """Speak the text, from the cache or by OpenAI, in whatever language the text is in."""
        text = text[:MAX_TEXT]
        if not text.strip():
            raise SpeechFailed("there is nothing to say")
        file = self._cache_file(text)
        if file is not None and (samples := _load(file)):
            return Clip(samples)
        try:
            async with asyncio.timeout(self._voice.limit_s):
                samples = await _sound(await self._request(text))
        except TimeoutError:
            raise SpeechFailed(f"no speech from OpenAI within {self._voice.limit_s:g} s") from None
        if file is not None:
            self._disk(lambda: _store(file, write_wav(samples)))
        return Clip(samples)

    async def _request(self, text: str) -> bytes:
        voice = self._voice
        # Never decompressed: a thousandth of the size limit could expand to fill the memory.
        headers = {"Authorization": f"Bearer {voice.api_key}", "Accept-Encoding": "identity"}
        if voice.project:
            headers["OpenAI-Project"] = voice.project
        body = {"model": voice.model, "input": text, "voice": voice.voice, "response_format": "wav"}
        audio = bytearray()
        try:
            async with self._http.stream(
                "POST", self._url, headers=headers, json=body, timeout=None
            ) as answer:
                if not answer.is_success:
                    advice = _ADVICE.get(answer.status_code)
                    why = f"OpenAI answered {answer.status_code}"
                    raise SpeechFailed(f"{why}: {advice}" if advice else why)
                async for chunk in answer.aiter_raw():
                    audio += chunk
                    if len(audio) > MAX_BYTES:
                        raise SpeechFailed("OpenAI's speech is too long")
        except httpx2.HTTPError as error:
            raise SpeechFailed(f"OpenAI not reached: {str(error) or type(error).__name__}") from error
        return bytes(audio)

    def _cache_file(self, text: str) -> Path | None:
        """The cache file for this text and voice; its name reveals nothing."""
        if self._cache is None:
            return None
        identity = "\0".join((self._voice.model, self._voice.voice, text))
        return self._cache / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.wav"


def clear_cache(cache: Path) -> int:
    """Delete every cached text, and no other file; returns how many. Raises OSError."""
    found = [file for file in cache.glob("*") if _NAME.fullmatch(file.name)]
    for file in found:
        file.unlink(missing_ok=True)
    return len(found)


async def _sound(answer: bytes) -> array[int]:
    try:
        sound = read_wav(answer)
    except WavError as error:
        raise SpeechFailed(f"OpenAI's answer cannot be played: {error}") from None
    return await at_8_khz(Sound(sound.rate, sound.samples[: round(MAX_S * sound.rate)]))


def _load(file: Path) -> array[int] | None:
    try:
        sound = read_wav(file.read_bytes())
    except (OSError, WavError):
        return None
    return sound.samples if sound.rate == RATE else None


def _store(file: Path, wav: bytes) -> None:
    """Write the file whole or not at all; without a writable cache nothing is kept."""
    begun = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        others = sorted(file.parent.glob("*.wav"), key=lambda file: file.stat().st_mtime)
        for old in others[: max(0, len(others) - MAX_FILES + 1)]:
            old.unlink()
        begun.touch(mode=0o600)
        begun.write_bytes(wav)
        begun.replace(file)
    except OSError:
        with suppress(OSError):
            begun.unlink(missing_ok=True)
