"""Text to speech: the interface, its cache and fallback order, and the recorded prompts we ship."""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import structlog

from proxy.media.clip import Clip
from proxy.media.wav import WavError, read_wav

log = structlog.get_logger("screendoor")

MAX_TEXT = 600
"""Most characters of one text that are spoken."""
MAX_S = 60.0
"""Most seconds of speech that a voice may return for one text."""
MAX_CACHED = 64
PROMPTS = Path(__file__).parent / "prompts"

RECORDED = "This call is recorded."
LEAVE_MESSAGE = "Please leave a message after the tone."
A_CALL = "You have a call."
FROM = "Call from"
WITHHELD = "a caller without a number"
PRESS = "Press 1 to accept, 2 for voicemail."
KEYS = "Press 3 to block the caller, star to always let them through."
UNSCREENED = "The caller was not screened."
PROTECTED = "This number is protected."
PUT_THROUGH = "To be put through, press"
WRONG_KEY = "That was not the right key."
GOODBYE = "Goodbye."

PHRASES = {
    "recorded": RECORDED,
    "leave-message": LEAVE_MESSAGE,
    "a-call": A_CALL,
    "call-from": FROM,
    "withheld": WITHHELD,
    "press": PRESS,
    "keys": KEYS,
    "unscreened": UNSCREENED,
    "protected": PROTECTED,
    "put-through": PUT_THROUGH,
    "wrong-key": WRONG_KEY,
    "goodbye": GOODBYE,
    **{f"digit-{n}": str(n) for n in range(10)},
}
"""The recorded prompts, in English: file name in `prompts`, and text. `prompts/README.md` says how they
were made.
"""


class SpeechFailed(Exception):
    """The text could not be spoken; the message says why in one line, without the text."""


class Speech(Protocol):
    """A voice: turns text into audio."""

    async def speak(self, text: str, language: str) -> Clip:
        """Speak the text; `language` is like ``en`` or ``de-AT``. Raises SpeechFailed."""
        ...


class CachedSpeech:
    """A cache for a voice, so that what every caller hears is spoken only once.

    A text is finished even if whoever asked first stopped waiting: the next one gets it at once.
    """

    def __init__(self, voice: Speech) -> None:
        self._voice = voice
        self._clips: dict[tuple[str, str], Clip] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[Clip]] = {}
        self._pinned: set[tuple[str, str]] = set()

    def pin(self, text: str, language: str) -> None:
        """Never evict this text once it is spoken, however much else is."""
        self._pinned.add((text[:MAX_TEXT], language))

    async def speak(self, text: str, language: str) -> Clip:
        """Speak the text, from the cache if possible."""
        clip = self.cached(text, language)
        return clip if clip is not None else await asyncio.shield(self.start(text, language))

    def cached(self, text: str, language: str) -> Clip | None:
        """The cached clip; None if there is none."""
        clip = self._clips.pop((text, language), None)
        if clip is not None:
            self._clips[text, language] = clip  # now the most recently used
        return clip

    def start(self, text: str, language: str) -> asyncio.Task[Clip]:
        """Start speaking the text, or join the task that does."""
        key = (text, language)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(self._voice.speak(text, language))
            task.add_done_callback(lambda made: self._finished(key, made))
        return task

    async def close(self) -> None:
        """Cancel whatever is being spoken."""
        for task in (left := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _finished(self, key: tuple[str, str], made: asyncio.Task[Clip]) -> None:
        del self._tasks[key]
        if made.cancelled() or made.exception() is not None:
            return
        self._clips[key] = made.result()
        passing = [each for each in self._clips if each not in self._pinned]
        if len(passing) > MAX_CACHED:
            del self._clips[passing[0]]


class FallbackSpeech:
    """Falls back from one voice to the next until one succeeds."""

    def __init__(self, voices: Sequence[Speech]) -> None:
        self._voices = voices

    async def speak(self, text: str, language: str) -> Clip:
        """Speak the text, from a cache or with the first voice that can; raises the last voice's error."""
        text = text[:MAX_TEXT]
        if (clip := self._cached(text, language)) is not None:
            return clip
        failure = SpeechFailed("there is no voice")
        for voice in self._voices:
            try:
                return await voice.speak(text, language)
            except SpeechFailed as error:
                if not isinstance(voice, RecordedPrompts):
                    log.warning("voice failed", why=str(error))
                failure = error
        raise failure

    def _cached(self, text: str, language: str) -> Clip | None:
        """The clip from the first cache that has it. Better voices, which failed before, try again for the
        next time.
        """
        remembering = [voice for voice in self._voices if isinstance(voice, CachedSpeech)]
        for number, voice in enumerate(remembering):
            if (clip := voice.cached(text, language)) is not None:
                for better in remembering[:number]:
                    better.start(text, language).add_done_callback(_log_failure)
                return clip
        return None


def _log_failure(made: asyncio.Task[Clip]) -> None:
    if not made.cancelled() and isinstance(error := made.exception(), SpeechFailed):
        log.warning("voice failed", why=str(error))


class RecordedPrompts:
    """Recorded prompts: a voice that knows only their texts, in English whatever language is asked for."""

    async def speak(self, text: str, language: str) -> Clip:
        """Speak a text that consists of recorded phrases and digits only."""
        samples = array("h")
        for name in _phrases(text):
            samples += _recorded(name)
            samples += _PAUSE
        return Clip(samples)


_PAUSE = array("h", bytes(2 * 800))
_KEYS = {tuple(re.findall(r"\w+", text.lower())): name for name, text in PHRASES.items()}


def _phrases(text: str) -> list[str]:
    """The names of the phrases a text consists of, preferring longer phrases."""
    words, found = re.findall(r"\w+", text.lower()), list[str]()
    while words:
        known = [key for key in _KEYS if key == tuple(words[: len(key)])]
        if not known:
            raise SpeechFailed("there is no recorded prompt for this text")
        longest = max(known, key=len)
        found.append(_KEYS[longest])
        words = words[len(longest) :]
    if not found:
        raise SpeechFailed("there is nothing to say")
    return found


@cache
def _recorded(name: str) -> array[int]:
    try:
        sound = read_wav((PROMPTS / f"{name}.wav").read_bytes())
    except (OSError, WavError) as error:
        raise SpeechFailed(f"prompt {name} cannot be read: {error}") from error
    return sound.samples


async def speak_within(limit_s: float, voice: Speech, text: str, language: str) -> Clip:
    """Speak the text with this voice; SpeechFailed if it takes longer than `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            return await voice.speak(text, language)
    except TimeoutError:
        raise SpeechFailed(f"nothing was spoken within {limit_s:g} s") from None
