"""Watches answered calls: warns of legs that send no audio, and ends them and calls that last too long.

All calls share one timer (`PeriodicTimer`); only answered calls are watched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from proxy.media.periodic_timer import PeriodicTimer
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.call.legs import Legs

WARN_AFTER_S = 10.0
"""After so long without audio a leg that should send some is warned about, if others send to it."""
STOPPED_SENDING = (
    "its packets came and then stopped: its network, a NAT that forgot it, or a peer that has died"
)


@dataclass(frozen=True, slots=True)
class MediaWatchSettings:
    """Settings of the media watch, and the timer that all calls share."""

    inactivity_s: float = 0.0
    """A leg from which no audio has come for so long is ended; 0 for never."""
    call_limit_s: float = 0.0
    """A call that has lasted for so long since its answer is ended; 0 for never."""
    timer: PeriodicTimer = field(default_factory=PeriodicTimer)
    """Shared by all calls, and with RTCP."""


class MediaWatch:
    """Watches one call and its legs, every five seconds from its answer on."""

    __slots__ = ("_legs", "_settings")

    def __init__(self, legs: Legs, settings: MediaWatchSettings) -> None:
        self._legs, self._settings = legs, settings
        settings.timer.join(self)

    def stop(self) -> None:
        """Stop watching: the call is over."""
        self._settings.timer.leave(self)

    def report(self) -> None:
        """Check every answered leg; called by `PeriodicTimer`."""
        journal, media, limit_s = self._legs.journal, self._legs.media, self._settings.inactivity_s
        now = journal.now()
        if self._too_long(now):
            return self._legs.end_caller(EndReason.TOO_LONG)
        legs = [(entry, media.quiet_s(entry.name)) for entry in journal.answered_legs()]
        somebody_speaks = any(quiet_s is not None and quiet_s < WARN_AFTER_S for _, quiet_s in legs)
        for entry, quiet_s in legs:
            if quiet_s is None:
                continue
            waited_s = min(quiet_s, _since(entry.answered, now))
            if limit_s and waited_s >= limit_s:
                self._legs.end(entry.name, EndReason.MEDIA_INACTIVE)
            elif waited_s >= WARN_AFTER_S and somebody_speaks:
                quality = media.quality(entry.name)
                if quality.enough_sent:
                    journal.leg_silent(entry, quality.silent or STOPPED_SENDING)

    def _too_long(self, now: datetime) -> bool:
        limit_s = self._settings.call_limit_s
        return limit_s > 0 and any(
            entry.name == "caller" and _since(entry.answered, now) >= limit_s
            for entry in self._legs.journal.answered_legs()
        )


def _since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else (now - moment).total_seconds()
