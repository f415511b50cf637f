"""The recording of a whole call, where that is switched on: announced, and kept beside the record."""

from __future__ import annotations

from pathlib import Path

from proxy.call.journal import Scribe
from proxy.media.interface import MediaRefused, MediaSession, Recording
from proxy.media.speech import RECORDED, Prompts, Speech, SpeechFailed, within

SPEECH_PATIENCE_S = 1.0
"""How long the caller waits for the announcement to be spoken before he hears the recorded one."""


class Tape:
    """Records one call from its answer to its end: left the caller, right what the caller hears."""

    def __init__(self, media: MediaSession, scribe: Scribe, path: Path) -> None:
        self._media, self._scribe, self._path = media, scribe, path
        self._recording: Recording | None = None
        self._told = False
        media.plain()

    @property
    def announced(self) -> bool:
        """Whether the caller was told, so that whoever is called is told as well."""
        return self._recording is not None and self._told

    def begin(self) -> None:
        """The caller is answered. What cannot be recorded is not, and the call goes on."""
        try:
            self._recording = self._media.record_both("caller", self._path)
        except OSError as error:
            self._scribe.broken("not recorded", error)
        except MediaRefused as refusal:
            self._scribe.step("not recorded", refusal.reason)

    async def announce(self, speech: Speech, text: str, language: str) -> None:
        """Tell the caller that he is recorded; without that, he is not."""
        if self._recording is None:
            return
        try:
            clip = await within(SPEECH_PATIENCE_S, speech, text, language)
        except SpeechFailed as failure:
            self._scribe.step("announcement not spoken", str(failure))
            try:
                clip = await Prompts().spoken(RECORDED, language)
            except SpeechFailed as worse:
                self._recording.close(keep=False)
                self._recording = None
                return self._scribe.broken("not recorded", worse)
        await self._media.play("caller", clip)
        self._told = True
        self._scribe.announced()

    def close(self) -> None:
        """The call is over."""
        recording, self._recording = self._recording, None
        if recording is not None:
            self._scribe.taped(recording.path, recording.close())
