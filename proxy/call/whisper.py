"""The whisper: before a phone is connected it hears who calls, and may have to press 1 to accept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from proxy.call.outcome import MessageWanted, NotConfirmed, Unwanted
from proxy.call.routing import Confirmation, Number
from proxy.call.waiting import first_of
from proxy.call.whisper_text import Announcement
from proxy.media.clip import Clip
from proxy.media.interface import MediaSession
from proxy.media.speech import RecordedPrompts, Speech, SpeechFailed, speak_within
from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.scope import limit
from screening.contract import Wish

SPEECH_LIMIT_S = 10.0
"""How long text to speech may take for the announcement, while the phone rings."""
LATE_S = 0.3
"""How much longer it may take once the phone is picked up; then recorded prompts are played instead."""
PAUSE_S = 1.5
"""Pause before the announcement is repeated."""
KEY_UP_S = 0.06
"""How long the last packets of a key press may take, whose end is sent three times; the caller gets none."""
ACCEPT, VOICEMAIL, BLOCK, TRUST = "1", "2", "3", "*"


class Whisper:
    """Announces the caller to the phones of one attempt; ``async with`` cancels unfinished speech."""

    def __init__(
        self,
        media: MediaSession,
        speech: Speech,
        number: Number,
        announcement: Announcement,
        picked_up: Callable[[Leg], None],
        on_wish: Callable[[Wish], None] = lambda wish: None,
    ) -> None:
        """`picked_up` is called when a phone is picked up, before the announcement; `on_wish` when a key
        blocks or trusts the caller from now on.
        """
        self._media, self._speech, self._number = media, speech, number
        self._announcement, self._picked_up, self._on_wish = announcement, picked_up, on_wish
        self._keys = (ACCEPT, VOICEMAIL, BLOCK, TRUST) if announcement.keys else (ACCEPT, VOICEMAIL)
        self._spoken: dict[Confirmation, asyncio.Task[Clip]] = {}

    def prepare(self, confirmation: Confirmation) -> None:
        """Start text to speech while the phone rings."""
        language = self._number.language
        if (text := self._announcement.text(language, confirmation)) and confirmation not in self._spoken:
            work = speak_within(SPEECH_LIMIT_S, self._speech, text, language)
            self._spoken[confirmation] = asyncio.ensure_future(work)

    async def confirm(self, phone: Leg, confirmation: Confirmation) -> None:
        """Play the announcement; return when whoever picked up has accepted the call.

        Raises NotConfirmed if they hang up, LimitReached if they press nothing, MessageWanted if they send
        the caller to voicemail, and Unwanted if they block the caller.
        """
        if not self._spoken or confirmation not in self._spoken:
            return
        self._picked_up(phone)
        try:
            limited = limit(phone.core.timer_queue, self._number.confirm_limit_s, EndReason.NO_ANSWER)
            async with phone.up(), limited:
                clip = await self._clip(confirmation)
                if confirmation is not Confirmation.PRESS_1:
                    return await self._media.play(phone.name, clip)
                key = await first_of(self._answer(phone.name), self._repeat(phone.name, clip))
                await asyncio.sleep(KEY_UP_S)
        except LegEnded as end:
            raise NotConfirmed(f"it was hung up before the call was taken: {end.reason.text}") from None
        if key == VOICEMAIL:
            raise MessageWanted("the caller was sent to voicemail")
        if key == BLOCK:
            self._on_wish(Wish.BLOCK)
            raise Unwanted("the caller was blocked at the phone")
        if key == TRUST:
            self._on_wish(Wish.TRUST)

    async def _answer(self, leg: str) -> str:
        """The first key that has a meaning."""
        while (key := await self._media.digit(leg)) not in self._keys:
            pass
        return key

    async def _repeat(self, leg: str, clip: Clip) -> str:
        while True:
            await self._media.play(leg, clip)
            await asyncio.sleep(PAUSE_S)

    async def _clip(self, confirmation: Confirmation) -> Clip:
        """The spoken announcement if it is ready, else one made of the recorded prompts."""
        spoken = self._spoken[confirmation]
        await asyncio.wait([spoken], timeout=LATE_S)
        if spoken.done() and not spoken.cancelled() and spoken.exception() is None:
            return spoken.result()
        try:
            return await RecordedPrompts().speak(
                self._announcement.generic(confirmation), self._number.language
            )
        except SpeechFailed as failure:
            raise NotConfirmed(f"nothing could be said to it: {failure}") from failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spoken:
            for task in self._spoken.values():
                task.cancel()
            await asyncio.gather(*self._spoken.values(), return_exceptions=True)
