"""What the agent is told before one call, and what it may do in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from screening.talk import prompt
from screening.talk.tools import Tools


@dataclass(frozen=True, slots=True)
class Briefing:
    """The agent's instructions, greeting and tools for one call, with all templates rendered."""

    instructions: str = prompt.INSTRUCTIONS
    greeting: str = ""
    """What the agent says first; empty: it opens as its instructions say."""
    language: str = "en"
    """Language of the greeting, as ``en`` or ``pt-BR``."""
    translated: bool = False
    """The greeting is in English, and the agent is to say it in `language`."""
    uninterruptible: bool = False
    """The greeting tells callers that the call is recorded or transcribed, so it must not be interrupted."""
    tools: Tools = field(default_factory=Tools)
    keys: Mapping[str, str] = field(default_factory=dict)
    """What each DTMF key does: ``connect``, ``voicemail``, or the name of a destination."""

    @property
    def opening(self) -> str | None:
        """Instructions for the model's first response; None: nothing beyond its general instructions."""
        return prompt.opening(self.greeting, self.language if self.translated else None)
