"""Takes a message: greeting, beep, and what the caller says until he is done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from proxy.call.journal import Scribe
from proxy.call.outcome import Result
from proxy.media.clip import Clip
from proxy.media.interface import MediaRefused, MediaSession, Recording
from proxy.media.speech import LEAVE_MESSAGE, Prompts, Speech, SpeechFailed, within
from proxy.media.tones import beep

GREETING_PATIENCE_S = 1.0
"""How long the caller waits for a greeting to be spoken before he hears the recorded one."""


@dataclass(frozen=True, slots=True)
class Voicemail:
    """How messages are taken."""

    limit_s: float = 120.0
    """How long a message may be."""
    silence_s: float = 10.0
    """After so much silence it is over."""
    least_s: float = 1.0
    """How long somebody must be heard in it; what is shorter is not kept."""
    greeting: str = ""
    """What is said before the beep; empty: nothing."""


class Message:
    """One message of the caller, whose leg is answered and joined with nobody."""

    def __init__(
        self,
        terms: Voicemail,
        media: MediaSession,
        speech: Speech,
        language: str,
        scribe: Scribe,
        greeting: Clip | None,
    ) -> None:
        """`greeting` is played, if there is one, and nothing spoken before the beep."""
        self._terms, self._media, self._speech = terms, media, speech
        self._language, self._scribe, self._greeting = language, scribe, greeting

    async def taken(self, path: Path, why: str) -> bool:
        """Greet, beep and record; returns when the message is over, for whatever reason.

        False where no message can be taken: by the disk, or of a caller whose audio is not G.711.
        """
        await self._greet()
        await self._media.play("caller", beep())
        try:
            recording = self._media.record("caller", path)
        except OSError as error:
            self._scribe.broken("voicemail not possible", error)
            return self._none(why)
        except MediaRefused as refusal:
            self._scribe.step("voicemail not possible", refusal.reason)
            return self._none(why)
        began = asyncio.get_running_loop().time()
        self._scribe.settle(Result.VOICEMAIL, why)
        try:
            self._scribe.step(*await self._over(recording, began))
        finally:
            heard_s = (recording.voiced_at or began) - began
            if heard_s >= self._terms.least_s:
                self._scribe.recorded(recording.path, recording.close())
            else:
                recording.close(keep=False)
                self._scribe.step("no message", "nothing was said, or next to nothing")
        return True

    def _none(self, why: str) -> bool:
        self._scribe.settle(Result.UNANSWERED, why)
        return False

    async def _greet(self) -> None:
        if self._greeting is not None:
            return await self._media.play("caller", self._greeting)
        if not self._terms.greeting:
            return
        try:
            clip = await within(GREETING_PATIENCE_S, self._speech, self._terms.greeting, self._language)
        except SpeechFailed as failure:
            self._scribe.step("greeting not spoken", str(failure))
            try:
                clip = await Prompts().spoken(LEAVE_MESSAGE, self._language)
            except SpeechFailed as worse:
                return self._scribe.broken("no greeting", worse)  # the beep says enough
        await self._media.play("caller", clip)

    async def _over(self, recording: Recording, began: float) -> tuple[str, str]:
        """Wait for the end of the message; the step that it is in the story."""
        terms, clock = self._terms, asyncio.get_running_loop().time
        while recording.on:
            now = clock()
            if now - began >= terms.limit_s:
                return "voicemail full", f"after {terms.limit_s:g} s"
            silent_s = now - (recording.voiced_at or began)
            if silent_s >= terms.silence_s:
                return "voicemail over", f"after {terms.silence_s:g} s of silence"
            left_s = min(began + terms.limit_s - now, terms.silence_s - silent_s)
            await asyncio.sleep(min(left_s, 1.0))  # a disk that fails is noticed within a second
        return "voicemail cut short", "the disk failed"
