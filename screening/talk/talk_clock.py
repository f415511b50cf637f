"""The talk and silence limits of a screening. Pure: `now` is an argument."""

from __future__ import annotations

import enum

from screening.settings import ScreeningSettings

AFTER_PHONE_S = 30.0
"""Minimum time, granted once, to talk to a caller who could not be put through."""
DECIDE_BEFORE_END_S = 10.0
"""How long before the talk limit the agent is told to decide: at most this, and at most a third of
the limit.
"""


class Due(enum.Enum):
    """What to do when a limit is near or reached."""

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
        """How long the caller had been silent before the agent asked whether they are there."""
        self._asked = False
        self._extended = False
        self.told_to_decide = False
        """The agent was told to decide, and has not yet."""

    def start(self, now: float) -> None:
        """Start the clock, as the agent and the caller can talk; only the first call counts."""
        if self._ends is None:
            self._ends = now + self._limits.talk_limit_s
            self._quiet_since = now

    def sound(self, now: float, *, going_on: bool, caller: bool = False) -> None:
        """Note that somebody began or stopped speaking: silence counts from now unless sound is `going_on`.

        The agent's own question whether the caller is there does not end their silence; only the `caller`
        does.
        """
        self._asked = self._asked and not caller
        if not self._asked:
            self._quiet_before_s = 0.0
        elif self._quiet_since is not None:
            self._quiet_before_s += now - self._quiet_since
        self._quiet_since = None if going_on else now

    def resume(self, now: float) -> None:
        """Go on talking, as the phone did not answer."""
        self.told_to_decide = self._asked = False
        self._quiet_since, self._quiet_before_s = now, 0.0
        if not self._extended and self._ends is not None and not self._limits.over:
            self._ends = max(self._ends, now + AFTER_PHONE_S)
            self._extended = True

    def acted_on(self, due: Due) -> None:
        """Note that `due` was acted on; it is not due again until the caller speaks or the phone
        was tried.
        """
        self._asked = self._asked or due is Due.ASK_IF_THERE
        self.told_to_decide = self.told_to_decide or due is Due.DECIDE_NOW

    @property
    def next_due(self) -> tuple[float | None, Due]:
        """When the next action is due, None if not yet known, and which."""
        limits, quiet = self._limits, self._quiet_since
        found = [(at, Due.GIVE_UP)] if (at := self.give_up[0]) is not None else []
        if self._ends is not None and not self.told_to_decide:
            found.append((self._ends - min(DECIDE_BEFORE_END_S, limits.talk_limit_s / 3), Due.DECIDE_NOW))
        if quiet is not None and limits.ask_if_there_s and not self._asked:
            found.append((quiet + limits.ask_if_there_s, Due.ASK_IF_THERE))
        return min(found, key=lambda each: each[0], default=(None, Due.GIVE_UP))

    @property
    def give_up(self) -> tuple[float | None, str]:
        """When to give up, None if not yet known, and the reason to give then."""
        limits, quiet = self._limits, self._quiet_since
        silent = None if quiet is None else quiet + limits.silence_limit_s - self._quiet_before_s
        if silent is not None and (self._ends is None or silent < self._ends):
            return silent, f"nobody spoke for {limits.silence_limit_s:g} s"
        return self._ends, limits.over or f"no decision within {limits.talk_limit_s:g} s"
