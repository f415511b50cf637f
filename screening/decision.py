"""What a policy decides of a caller before anything rings, and the words in which it says of whom."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Action(enum.Enum):
    """What is done with a caller."""

    RING = "ring"
    ASK = "ask"
    """The agent talks to him first."""
    CHALLENGE = "challenge"
    """He has to press the key that he is told; then it rings."""
    VOICEMAIL = "voicemail"
    REJECT = "reject"


class Doubt(enum.Enum):
    """What a verification may come to that makes a number not worth believing."""

    __hash__ = object.__hash__  # as equality is identity; that of `Enum` is a call of its own
    FAILED = "failed"
    NONE = "none"
    """Not signed, or nobody says whether it was."""
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one caller may call before it is too often."""

    calls: int
    within_s: float

    def __str__(self) -> str:
        return f"more than {self.calls} calls in {self.within_s / 60:g} minutes"


class Level(enum.Enum):
    """Whom the agent asks, of those whom no other rule speaks of."""

    OFF = "off"
    """Nobody: they ring."""
    UNKNOWN = "unknown"
    """Everybody who is not known."""
    EVERYONE = "everyone"
    """Contacts too: all but those on the allow list, and VIPs."""
    TRUSTED = "trusted"
    """Nobody: who is not known does not get through."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with one caller, and which rule says so."""

    action: Action
    rule: str
    why: str

    @property
    def reason(self) -> str:
        return f"{self.rule}: {self.why}"
