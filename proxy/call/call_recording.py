"""Records whole calls where that is switched on: announced to the caller, and kept beside the record."""

from __future__ import annotations

from pathlib import Path

from proxy.call.journal import Journal
from proxy.media.interface import MediaRefused, MediaSession, Recording
from proxy.media.speech import RECORDED, RecordedPrompts, Speech, SpeechFailed, speak_within

SPEECH_PATIENCE_S = 1.0
"""How long text to speech may take for the announcement before the recorded prompt is played instead."""


class CallRecorder:
    """Records one call from answer to end, in stereo: the caller left, what the caller hears right."""

    def __init__(self, media: MediaSession, journal: Journal, path: Path) -> None:
        self._media, self._journal, self._path = media, journal, path
        self._recording: Recording | None = None
        self._announced = False
        media.prefer_g711()

    @property
    def announced(self) -> bool:
        """Whether the caller was told of the recording, so that the phone must be told as well."""
        return self._recording is not None and self._announced

    def begin(self) -> None:
        """Start when the caller is answered. If that is not possible the call goes on without a recording."""
        try:
            self._recording = self._media.record_both("caller", self._path)
        except OSError as error:
            self._journal.failed("not recorded", error)
        except MediaRefused as refusal:
            self._journal.step("not recorded", refusal.reason)

    async def announce(self, speech: Speech, text: str, language: str) -> None:
        """Tell the caller that the call is recorded; if nothing can be played, stop recording."""
        if self._recording is None:
            return
        try:
            clip = await speak_within(SPEECH_PATIENCE_S, speech, text, language)
        except SpeechFailed as failure:
            self._journal.step("announcement not spoken", str(failure))
            try:
                clip = await RecordedPrompts().speak(RECORDED, language)
            except SpeechFailed as worse:
                self._recording.close(keep=False)
                self._recording = None
                return self._journal.failed("not recorded", worse)
        await self._media.play("caller", clip)
        self._announced = True
        self._journal.recording_announced()

    def close(self) -> None:
        """Finish the file at the end of the call."""
        recording, self._recording = self._recording, None
        if recording is not None:
            self._journal.call_recorded(recording.path, recording.close())
