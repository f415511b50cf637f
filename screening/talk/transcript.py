"""The transcript of one call, bounded in size whatever a vendor sends."""

from __future__ import annotations

from screening.contract import TranscriptLine

MAX_LINES = 2000
MAX_LINE_CHARS = 4000
"""More than anybody says in one go; the rest is dropped."""
MAX_CHARS = 200_000
"""Enough for hours."""


class Transcript:
    """The lines of one call, in order."""

    def __init__(self) -> None:
        self.lines: list[TranscriptLine] = []
        self.full = False
        """Whether a line was dropped."""
        self._chars = 0

    def add(self, speaker: str, text: str, at_s: float) -> TranscriptLine | None:
        """Append a line and return it; None if the transcript is full."""
        if len(self.lines) >= MAX_LINES or self._chars >= MAX_CHARS:
            self.full = True
            return None
        said = TranscriptLine(speaker, text[:MAX_LINE_CHARS], at_s)
        self._chars += len(said.text)
        self.lines.append(said)
        return said
