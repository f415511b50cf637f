"""What the agent has to be told or asked while a caller is screened; done one after the other, in order."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from screening.contract import News
from screening.provider import Resumed, ToolCalled
from screening.talk.tools import Choice, Decision


class By(enum.StrEnum):
    """Who decides."""

    AGENT = "agent"
    CALLER = "caller"
    """By a key."""
    USER = "user"
    """In the agent's place."""


@dataclass(slots=True)
class Decided:
    """A decision; the agent makes it by a tool call."""

    decision: Decision
    call: ToolCalled | None = None
    by: By = By.AGENT
    given: bool = False
    """The call has it as a verdict."""

    def takes(self, other: Decision) -> bool:
        """Take in a message that the agent hands over beside its word to record one, or to end the call."""
        ours = self.decision
        if self.given or self.by is not By.AGENT or ours.choice is Choice.ALLOW or ours.message is not None:
            return False
        if other.message is not None:
            self.decision = replace(other, caller_name=other.caller_name or ours.caller_name)
        return other.message is not None


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
class Wished:
    """The user wants the caller to be asked something."""

    text: str


@dataclass(frozen=True, slots=True)
class AskIfThere:
    """Nobody has spoken for a while."""


@dataclass(frozen=True, slots=True)
class DecideNow:
    """The talk is nearly over, and nothing is decided."""


Job = Decided | Misused | SpeakAgain | Pressed | Wished | AskIfThere | DecideNow | News | Resumed
