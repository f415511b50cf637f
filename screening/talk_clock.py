"""How long a screening may go on, and how long nobody may speak. Pure: `now` is given."""

from __future__ import annotations

from screening.settings import ScreeningSettings

AFTER_PHONE_S = 30.0
"""What the agent has at least, once, to talk to a caller who could not be put through."""


class TalkClock:
    """The two limits of one screening."""

    def __init__(self, limits: ScreeningSettings) -> None:
        self._limits = limits
        self._ends: float | None = None
        self._quiet_since: float | None = None
        self._extended = False

    def start(self, now: float) -> None:
        """The agent and the caller can talk; only the first time counts."""
        if self._ends is None:
            self._ends = now + self._limits.talk_limit_s
            self._quiet_since = now

    def sound(self, now: float, *, going_on: bool) -> None:
        """Somebody began to speak, or stopped: silence counts from now, but not while sound is `going_on`."""
        self._quiet_since = None if going_on else now

    def resume(self, now: float) -> None:
        """The phone did not answer; the talk goes on."""
        self._quiet_since = now
        if not self._extended and self._ends is not None:
            self._ends = max(self._ends, now + AFTER_PHONE_S)
            self._extended = True

    @property
    def next(self) -> tuple[float | None, str]:
        """Return when to give up, None for not yet known, and the reason that will be given."""
        limits = self._limits
        silent = None if self._quiet_since is None else self._quiet_since + limits.silence_limit_s
        if silent is not None and (self._ends is None or silent < self._ends):
            return silent, f"nobody spoke for {limits.silence_limit_s:g} s"
        return self._ends, f"no decision within {limits.talk_limit_s:g} s"
