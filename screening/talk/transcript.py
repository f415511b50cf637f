"""What was said in one call, line by line; whatever a vendor sends, it takes a bounded room."""

from __future__ import annotations

from screening.contract import Said

MAX_LINES = 2000
MAX_LINE_CHARS = 4000
"""Nobody says more in one go; the rest is left out."""
MAX_CHARS = 200_000
"""Hours of talk."""


class Transcript:
    """The lines of one call, in order."""

    def __init__(self) -> None:
        self.lines: list[Said] = []
        self.full = False
        """Whether something was left out."""
        self._chars = 0

    def add(self, speaker: str, text: str, at_s: float) -> Said | None:
        """Take a line in; None where there is no room for it any more."""
        if len(self.lines) >= MAX_LINES or self._chars >= MAX_CHARS:
            self.full = True
            return None
        said = Said(speaker, text[:MAX_LINE_CHARS], at_s)
        self._chars += len(said.text)
        self.lines.append(said)
        return said
