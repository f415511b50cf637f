"""The key challenge: the caller must press the key that is announced, which most calling machines do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.call.journal import Journal
from proxy.call.phrases import phrases_for
from proxy.call.waiting import first_of
from proxy.media.clip import Clip
from proxy.media.interface import MediaSession
from proxy.media.speech import GOODBYE, RecordedPrompts, Speech, SpeechFailed, speak_within

PATIENCE_S = 1.0
"""How long text to speech may take before the recorded prompt is played instead."""
PAUSE_S = 1.5
"""Pause before the sentence is repeated."""
TOO_SOON_S = 0.5
"""A key pressed so soon after the sentence began does not count: nobody can have heard which key by then."""
KEY_UP_S = 0.06
"""How long the last RTP packets of a key press may take; nobody else should get them."""
KEYS = "23456789"
"""Without 1 and 0, which machines press to get through any menu."""


@dataclass(frozen=True, slots=True)
class ChallengeSettings:
    """Settings of the challenge."""

    tries: int = 3
    limit_s: float = 10.0
    """Seconds for each try, including the sentence."""
    rejects: bool = False
    """Whether a caller who fails is rejected, rather than sent to voicemail."""


class Challenge:
    """The challenge of one caller, whose leg is answered and connected with no other."""

    def __init__(
        self,
        terms: ChallengeSettings,
        media: MediaSession,
        speech: Speech,
        language: str,
        journal: Journal,
        bits: Callable[[int], int],
    ) -> None:
        """`bits(n)` returns n random bits."""
        self._terms, self._media, self._speech = terms, media, speech
        self._language, self._journal, self._bits = language, journal, bits

    async def passed(self) -> bool:
        """Whether the caller presses the right key within the allowed tries, each for another key."""
        clock, key = asyncio.get_running_loop().time, ""
        began = clock()
        for number in range(self._terms.tries):
            key = self._next_key(than=key)
            try:
                texts = [phrases_for(of).challenge(key, again=number > 0) for of in (self._language, "en")]
                clip = await self._clip(*texts)
            except SpeechFailed as failure:
                self._journal.failed("challenge not possible", failure)
                return False
            self._journal.log.debug("challenged", key=key)
            pressed = await self._pressed(clip)
            if pressed == key:
                await asyncio.sleep(KEY_UP_S)
                self._journal.challenge_passed(clock() - began)
                return True
            self._journal.step("challenge", "a wrong key" if pressed else "no key was pressed")
        return False

    async def goodbye(self) -> None:
        """Say goodbye to a caller who has failed."""
        try:
            clip = await self._clip(phrases_for(self._language).goodbye, GOODBYE)
        except SpeechFailed as failure:
            return self._journal.step("goodbye not spoken", str(failure))
        await self._media.play("caller", clip)

    def _next_key(self, *, than: str) -> str:
        left = KEYS.replace(than, "") if than else KEYS
        return left[self._bits(16) % len(left)]

    async def _clip(self, text: str, recorded: str) -> Clip:
        """The text spoken, or the recorded prompts if that fails; raises SpeechFailed if both do."""
        try:
            return await speak_within(PATIENCE_S, self._speech, text, self._language)
        except SpeechFailed as failure:
            self._journal.step("challenge not spoken", str(failure))
            return await RecordedPrompts().speak(recorded, self._language)

    async def _pressed(self, clip: Clip) -> str | None:
        """The first key that counts, or None if none comes in time."""
        try:
            async with asyncio.timeout(self._terms.limit_s):
                return await first_of(self._first_valid_key(), self._repeat(clip))
        except TimeoutError:
            return None

    async def _first_valid_key(self) -> str:
        """The first key that counts: keys from before the sentence, or queued by a wrong try, do not."""
        clock = asyncio.get_running_loop().time
        earliest = clock() + TOO_SOON_S
        while True:
            key = await self._media.digit("caller")
            if clock() >= earliest:
                return key

    async def _repeat(self, clip: Clip) -> str:
        while True:
            await self._media.play("caller", clip)
            await asyncio.sleep(PAUSE_S)
