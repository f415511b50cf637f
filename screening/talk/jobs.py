"""The jobs of a conversation: what the agent must be told or asked, done one at a time, in order."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from screening.contract import News
from screening.provider import Resumed, ToolCalled
from screening.talk.tools import Choice, Decision


class DecidedBy(enum.StrEnum):
    """Who made a decision."""

    AGENT = "agent"
    CALLER = "caller"
    """By pressing a key."""
    USER = "user"
    """Through the API, in the agent's place."""


@dataclass(slots=True)
class Decided:
    """A decision, with the tool call it was made by, if it is the agent's."""

    decision: Decision
    call: ToolCalled | None = None
    by: DecidedBy = DecidedBy.AGENT
    delivered: bool = False
    """The call has received it as a verdict."""

    def merge_message(self, other: Decision) -> bool:
        """Merge in a message that the agent hands over along with VOICEMAIL or REJECT; False if there is
        none.
        """
        ours = self.decision
        if (
            self.delivered
            or self.by is not DecidedBy.AGENT
            or ours.choice is Choice.ALLOW
            or ours.message is not None
        ):
            return False
        if other.message is not None:
            self.decision = replace(other, caller_name=other.caller_name or ours.caller_name)
        return other.message is not None


@dataclass(frozen=True, slots=True)
class BadToolCall:
    """An unusable or late tool call, and the error returned to the agent."""

    call: ToolCalled
    error: str
    again: bool
    """Whether the agent should speak or try again."""


@dataclass(frozen=True, slots=True)
class SpeakAgain:
    """The agent's response has failed."""


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """The caller pressed keys that are not configured."""

    keys: str


@dataclass(frozen=True, slots=True)
class UserQuestion:
    """The user wants the agent to ask the caller something."""

    text: str


@dataclass(frozen=True, slots=True)
class AskIfThere:
    """Nobody has spoken for a while: ask whether the caller is still there."""


@dataclass(frozen=True, slots=True)
class DecideNow:
    """The talk limit is near, and nothing is decided."""


Job = (
    Decided | BadToolCall | SpeakAgain | KeysPressed | UserQuestion | AskIfThere | DecideNow | News | Resumed
)
