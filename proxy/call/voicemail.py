"""Voicemail: greeting, beep, and a recording of the message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from proxy.call.journal import Journal
from proxy.call.outcome import Result
from proxy.media.clip import Clip
from proxy.media.interface import MediaRefused, MediaSession, Recording
from proxy.media.speech import LEAVE_MESSAGE, RecordedPrompts, Speech, SpeechFailed, speak_within
from proxy.media.tones import beep

GREETING_PATIENCE_S = 1.0
"""How long text to speech may take for the greeting before the recorded prompt is played instead."""


@dataclass(frozen=True, slots=True)
class VoicemailSettings:
    """Settings of the voicemail."""

    limit_s: float = 120.0
    """The longest message, in seconds."""
    silence_s: float = 10.0
    """The message ends after so much silence."""
    least_s: float = 1.0
    """The shortest message, measured to the end of speech; a shorter one is not kept."""
    greeting: str = ""
    """Text spoken before the beep; empty for none."""


class VoicemailMessage:
    """Takes one message from a caller whose leg is answered and connected with no other."""

    def __init__(
        self,
        terms: VoicemailSettings,
        media: MediaSession,
        speech: Speech,
        language: str,
        journal: Journal,
        greeting: Clip | None,
    ) -> None:
        """`greeting`: a recorded greeting; if given, it is played in place of the text in `terms`."""
        self._terms, self._media, self._speech = terms, media, speech
        self._language, self._journal, self._greeting = language, journal, greeting

    async def take(self, path: Path, why: str) -> bool:
        """Greet, beep and record; returns when the message is over, for whatever reason.

        Returns False if no message can be taken: the disk fails, or the caller's audio is not G.711. `why` is
        the reason for the call's outcome.
        """
        await self._greet()
        await self._media.play("caller", beep())
        try:
            recording = self._media.record("caller", path)
        except OSError as error:
            self._journal.failed("voicemail not possible", error)
            return self._not_possible(why)
        except MediaRefused as refusal:
            self._journal.step("voicemail not possible", refusal.reason)
            return self._not_possible(why)
        began = asyncio.get_running_loop().time()
        self._journal.settle(Result.VOICEMAIL, why)
        try:
            self._journal.step(*await self._record_until_over(recording, began))
        finally:
            heard_s = (recording.voiced_at or began) - began
            if heard_s >= self._terms.least_s:
                self._journal.voicemail_recorded(recording.path, recording.close())
            else:
                recording.close(keep=False)
                self._journal.step("no message", "nothing was said, or next to nothing")
        return True

    def _not_possible(self, why: str) -> bool:
        self._journal.settle(Result.UNANSWERED, why)
        return False

    async def _greet(self) -> None:
        if self._greeting is not None:
            return await self._media.play("caller", self._greeting)
        if not self._terms.greeting:
            return
        try:
            clip = await speak_within(GREETING_PATIENCE_S, self._speech, self._terms.greeting, self._language)
        except SpeechFailed as failure:
            self._journal.step("greeting not spoken", str(failure))
            try:
                clip = await RecordedPrompts().speak(LEAVE_MESSAGE, self._language)
            except SpeechFailed as worse:
                return self._journal.failed("no greeting", worse)  # the beep has to do
        await self._media.play("caller", clip)

    async def _record_until_over(self, recording: Recording, began: float) -> tuple[str, str]:
        """Wait for the end of the message; returns the step for the journal."""
        terms, clock = self._terms, asyncio.get_running_loop().time
        while recording.active:
            now = clock()
            if now - began >= terms.limit_s:
                return "voicemail full", f"after {terms.limit_s:g} s"
            silent_s = now - (recording.voiced_at or began)
            if silent_s >= terms.silence_s:
                return "voicemail over", f"after {terms.silence_s:g} s of silence"
            left_s = min(began + terms.limit_s - now, terms.silence_s - silent_s)
            await asyncio.sleep(min(left_s, 1.0))  # a disk that fails is noticed within a second
        return "voicemail cut short", "the disk failed"
