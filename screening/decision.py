"""What a policy may decide about a caller before anything rings, and the terms it decides by."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Action(enum.Enum):
    """What is done with a caller."""

    RING = "ring"
    ASK = "ask"
    """Have the agent talk to them first."""
    CHALLENGE = "challenge"
    """Ring once the caller has pressed the key they are asked for."""
    VOICEMAIL = "voicemail"
    REJECT = "reject"


class Doubt(enum.Enum):
    """Verification results that may make a number untrustworthy."""

    __hash__ = object.__hash__  # equality is identity; `Enum.__hash__` costs a call
    FAILED = "failed"
    NONE = "none"
    """Not signed, or not known whether it was."""
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class Rate:
    """A call-rate limit per caller."""

    calls: int
    within_s: float

    def __str__(self) -> str:
        return f"more than {self.calls} calls in {self.within_s / 60:g} minutes"


class Level(enum.Enum):
    """Which callers the agent asks, among those no other rule covers."""

    OFF = "off"
    """Nobody: all of them ring."""
    UNKNOWN = "unknown"
    """Everybody unknown."""
    EVERYONE = "everyone"
    """Contacts, too: everybody but VIPs and those on the allow list."""
    TRUSTED = "trusted"
    """Nobody: unknown callers do not get through."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with one caller, and which rule decided it."""

    action: Action
    rule: str
    why: str

    @property
    def reason(self) -> str:
        return f"{self.rule}: {self.why}"
