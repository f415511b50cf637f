"""What the agent of one call is told before it begins, and what it may do in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from screening.talk import prompt
from screening.talk.tools import Tools


@dataclass(frozen=True, slots=True)
class Briefing:
    """Ready for the vendor: every template in it is filled in."""

    instructions: str = prompt.INSTRUCTIONS
    greeting: str = ""
    """The words that are spoken first; empty: the agent opens as its instructions say."""
    language: str = "en"
    """Of the greeting, as ``en`` or ``pt-BR``."""
    translated: bool = False
    """The greeting is in English, and is to be spoken in `language`."""
    heard_out: bool = False
    """Callers are told in the greeting what is kept of the call: it cannot be interrupted."""
    tools: Tools = field(default_factory=Tools)
    keys: Mapping[str, str] = field(default_factory=dict)
    """What a key of the telephone does: ``connect``, ``voicemail``, or the name of a destination."""

    @property
    def opening(self) -> str | None:
        """What the vendor's model is told for its first response; None: nothing but its instructions."""
        return prompt.opening(self.greeting, self.language if self.translated else None)
