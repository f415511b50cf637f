"""What the agent has to be told or asked while a caller is screened; done one after the other, in order."""

from __future__ import annotations

from dataclasses import dataclass

from screening.contract import News
from screening.provider import Resumed, ToolCalled
from screening.tools import Decision


@dataclass(frozen=True, slots=True)
class Decided:
    """A tool call that was a decision; or one that the caller made by a key, without a tool."""

    decision: Decision
    call: ToolCalled | None = None


@dataclass(frozen=True, slots=True)
class Misused:
    """A tool call that was none, or came too late, and what the agent is told."""

    call: ToolCalled
    error: str
    again: bool
    """Whether the agent should speak, or try, again."""


@dataclass(frozen=True, slots=True)
class SpeakAgain:
    """What the agent wanted to say has failed."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """The caller has pressed keys that mean nothing to us."""

    keys: str


@dataclass(frozen=True, slots=True)
class AskIfThere:
    """Nobody has spoken for a while."""


@dataclass(frozen=True, slots=True)
class DecideNow:
    """The talk is nearly over, and nothing is decided."""


Job = Decided | Misused | SpeakAgain | Pressed | AskIfThere | DecideNow | News | Resumed
