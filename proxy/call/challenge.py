"""A caller has to press the key that he is told: what only talks, as most machines that call, does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.call.journal import Scribe
from proxy.call.phrases import words_of
from proxy.call.waiting import first
from proxy.media.clip import Clip
from proxy.media.interface import MediaSession
from proxy.media.speech import GOODBYE, Prompts, Speech, SpeechFailed, within

PATIENCE_S = 1.0
"""How long the caller waits for the sentence to be spoken before he hears the recorded one."""
PAUSE_S = 1.5
"""Before the sentence is said again."""
TOO_SOON_S = 0.5
"""A key that comes so soon after the sentence began is no answer to it: nobody has heard the key by then."""
KEY_UP_S = 0.06
"""How long the last packets of a key may take, which are for nobody else."""
KEYS = "23456789"
"""Not 1 and not 0, which a machine may press to get through any menu."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How callers are challenged."""

    tries: int = 3
    limit_s: float = 10.0
    """How long each try may take, the sentence included."""
    rejects: bool = False
    """What becomes of one who presses no right key: he is sent away, rather than to voicemail."""


class Challenge:
    """Of one caller, whose leg is answered and joined with nobody."""

    def __init__(
        self,
        terms: Terms,
        media: MediaSession,
        speech: Speech,
        language: str,
        scribe: Scribe,
        bits: Callable[[int], int],
    ) -> None:
        """`bits` gives so many random bits."""
        self._terms, self._media, self._speech = terms, media, speech
        self._language, self._scribe, self._bits = language, scribe, bits

    async def passed(self) -> bool:
        """Whether he presses the right key before he has used up his tries; another key for each of them."""
        clock, key = asyncio.get_running_loop().time, ""
        began = clock()
        for number in range(self._terms.tries):
            key = self._another(than=key)
            try:
                texts = [words_of(of).challenge(key, again=number > 0) for of in (self._language, "en")]
                clip = await self._clip(*texts)
            except SpeechFailed as failure:
                self._scribe.broken("challenge not possible", failure)
                return False
            self._scribe.log.debug("challenged", key=key)
            pressed = await self._pressed(clip)
            if pressed == key:
                await asyncio.sleep(KEY_UP_S)
                self._scribe.challenge_passed(clock() - began)
                return True
            self._scribe.step("challenge", "a wrong key" if pressed else "no key was pressed")
        return False

    async def goodbye(self) -> None:
        """Say so, and no more."""
        try:
            clip = await self._clip(words_of(self._language).goodbye, GOODBYE)
        except SpeechFailed as failure:
            return self._scribe.step("goodbye not spoken", str(failure))
        await self._media.play("caller", clip)

    def _another(self, *, than: str) -> str:
        left = KEYS.replace(than, "") if than else KEYS
        return left[self._bits(16) % len(left)]

    async def _clip(self, text: str, recorded: str) -> Clip:
        """The text, or else the recorded prompts; raises SpeechFailed."""
        try:
            return await within(PATIENCE_S, self._speech, text, self._language)
        except SpeechFailed as failure:
            self._scribe.step("challenge not spoken", str(failure))
            return await Prompts().spoken(recorded, self._language)

    async def _pressed(self, clip: Clip) -> str | None:
        """The first key, or None where none comes in time."""
        try:
            async with asyncio.timeout(self._terms.limit_s):
                return await first(self._answer(), self._said(clip))
        except TimeoutError:
            return None

    async def _answer(self) -> str:
        """The first key that may be one: none from before the sentence, nor of one go with a wrong one."""
        clock = asyncio.get_running_loop().time
        earliest = clock() + TOO_SOON_S
        while True:
            key = await self._media.digit("caller")
            if clock() >= earliest:
                return key

    async def _said(self, clip: Clip) -> str:
        while True:
            await self._media.play("caller", clip)
            await asyncio.sleep(PAUSE_S)
