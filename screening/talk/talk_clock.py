"""How long a screening may go on, and how long nobody may speak. Pure: `now` is given."""

from __future__ import annotations

import enum

from screening.settings import ScreeningSettings

AFTER_PHONE_S = 30.0
"""What the agent has at least, once, to talk to a caller who could not be put through."""
HURRY_S = 10.0
"""So long before the end the agent is asked to decide, or in the last third of a shorter talk."""


class Due(enum.Enum):
    """What is to be done when a limit comes near, or is reached."""

    ASK_IF_THERE = "nobody speaks"
    DECIDE_NOW = "the end is near"
    GIVE_UP = "the end"


class TalkClock:
    """The limits of one screening."""

    def __init__(self, limits: ScreeningSettings) -> None:
        self._limits = limits
        self._ends: float | None = None
        self._quiet_since: float | None = None
        self._quiet_before_s = 0.0
        """How long the caller had said nothing before the agent asked whether he is there."""
        self._asked = False
        self._extended = False
        self.hurried = False
        """The agent was asked to decide, and has done nothing else since."""

    def start(self, now: float) -> None:
        """The agent and the caller can talk; only the first time counts."""
        if self._ends is None:
            self._ends = now + self._limits.talk_limit_s
            self._quiet_since = now

    def sound(self, now: float, *, going_on: bool, caller: bool = False) -> None:
        """Somebody began to speak, or stopped: silence counts from now, but not while sound is `going_on`.

        When the agent asks whether the `caller` is still there, that is no answer: the silence goes on.
        """
        self._asked = self._asked and not caller
        if not self._asked:
            self._quiet_before_s = 0.0
        elif self._quiet_since is not None:
            self._quiet_before_s += now - self._quiet_since
        self._quiet_since = None if going_on else now

    def resume(self, now: float) -> None:
        """The phone did not answer; the talk goes on."""
        self.hurried = self._asked = False
        self._quiet_since, self._quiet_before_s = now, 0.0
        if not self._extended and self._ends is not None and not self._limits.over:
            self._ends = max(self._ends, now + AFTER_PHONE_S)
            self._extended = True

    def done(self, due: Due) -> None:
        """It was done, and is not due again before the caller speaks, or the phone is tried."""
        self._asked = self._asked or due is Due.ASK_IF_THERE
        self.hurried = self.hurried or due is Due.DECIDE_NOW

    @property
    def upcoming(self) -> tuple[float | None, Due]:
        """Return what is due next, and when; None for not yet known."""
        limits, quiet = self._limits, self._quiet_since
        found = [(at, Due.GIVE_UP)] if (at := self.next[0]) is not None else []
        if self._ends is not None and not self.hurried:
            found.append((self._ends - min(HURRY_S, limits.talk_limit_s / 3), Due.DECIDE_NOW))
        if quiet is not None and limits.ask_if_there_s and not self._asked:
            found.append((quiet + limits.ask_if_there_s, Due.ASK_IF_THERE))
        return min(found, key=lambda each: each[0], default=(None, Due.GIVE_UP))

    @property
    def next(self) -> tuple[float | None, str]:
        """Return when to give up, None for not yet known, and the reason that will be given."""
        limits, quiet = self._limits, self._quiet_since
        silent = None if quiet is None else quiet + limits.silence_limit_s - self._quiet_before_s
        if silent is not None and (self._ends is None or silent < self._ends):
            return silent, f"nobody spoke for {limits.silence_limit_s:g} s"
        return self._ends, limits.over or f"no decision within {limits.talk_limit_s:g} s"
