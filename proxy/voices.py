"""Text-to-speech for prompts: the configured voice, and fallbacks that do not depend on it."""

from __future__ import annotations

from collections.abc import Iterable

import httpx2
import structlog

from proxy.config import Settings
from proxy.config.vendor import AZURE, OPENAI_BASE
from proxy.media.clip import Clip
from proxy.media.disk_writer import Disk
from proxy.media.espeak import Espeak
from proxy.media.openai_speech import OpenAISpeech, OpenAIVoice
from proxy.media.speech import CachedSpeech, FallbackSpeech, RecordedPrompts, Speech, SpeechFailed

log = structlog.get_logger("screendoor")


class Voices:
    """The edge's `Speech`, shared by all calls."""

    def __init__(self, settings: Settings, disk: Disk, also: Iterable[str] = ()) -> None:
        """The texts in `also` are synthesized at startup as well."""
        self._settings, self._also = settings, frozenset(also)
        self._http: httpx2.AsyncClient | None = None
        voices: list[Speech] = []
        wanted, account = settings.speech.provider, account_of(settings)
        if wanted in (None, "openai") and account is not None:
            self._http = httpx2.AsyncClient()
            voices.append(OpenAISpeech(account, self._http, settings.speech.cache, disk))
        if wanted != "prompts" and Espeak.installed():
            voices.append(Espeak())
        self.latest = ""
        """The text asked for last, for tests."""
        self._remembered = [*map(CachedSpeech, voices)]
        self._voices = FallbackSpeech([*self._remembered, RecordedPrompts()])

    async def speak(self, text: str, language: str) -> Clip:
        """Synthesize with the first voice that works."""
        self.latest = text
        return await self._voices.speak(text, language)

    async def prepare(self) -> None:
        """Synthesize what callers may hear before there is a call."""
        language = self._settings.speech.language
        for text in sorted(_texts(self._settings) | self._also):
            for voice in self._remembered:
                voice.pin(text, language)
            try:
                await self._voices.speak(text, language)
            except SpeechFailed as failure:
                log.warning("not spoken", why=str(failure))

    async def close(self) -> None:
        """Stop synthesis and close the HTTP client."""
        for voice in self._remembered:
            await voice.close()
        if self._http is not None:
            await self._http.aclose()


def account_of(settings: Settings) -> OpenAIVoice | None:
    """The OpenAI account for speech: the key of `[speech]`, or of the first OpenAI agent that has one."""
    speech = settings.speech
    keyed = (one for one in settings.agents if one.api_key is not None and one.provider != AZURE)
    agent = next(keyed, None)
    key = speech.api_key or (agent.api_key if agent else None)
    if key is None:
        return None
    base = speech.api_base or (agent.api_base if agent else OPENAI_BASE)
    project = agent.project if agent and speech.api_key is None else None
    return OpenAIVoice(base, key.get_secret_value(), speech.model, speech.voice, project, speech.patience_s)


def _texts(settings: Settings) -> set[str]:
    screenings = [settings.screening_of(number) for number in settings.numbers]
    greetings = {screening.voicemail_greeting for screening in screenings}
    told = {one.announcement for one in screenings if one.record == "on" and one.record_announced}
    return (greetings | told) - {""}
