"""Whether the legs of a call are heard: a warning where one is silent, its end where it stays so.

All calls share one timer (`Rounds`), and only those that were answered are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from proxy.media.rtcp_timer import Rounds
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.call.legs import Legs

WARNED_S = 10.0
"""Silence of a leg that should speak, and is spoken to, before it is worth a warning."""
STOPPED = "its packets came and then stopped: its network, a NAT that forgot it, or a peer that has died"


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the house asks of its calls' audio."""

    inactivity_s: float = 0.0
    """A leg of which nothing has come for so long is ended; 0: none is."""
    call_limit_s: float = 0.0
    """A call that lasts longer than this from its answer is ended; 0: none is."""
    rounds: Rounds = field(default_factory=Rounds)


class Listening:
    """Looks after the legs of one call, every five seconds from the moment it is answered."""

    __slots__ = ("_hearing", "_legs")

    def __init__(self, legs: Legs, hearing: Hearing) -> None:
        self._legs, self._hearing = legs, hearing
        hearing.rounds.join(self)

    def stop(self) -> None:
        """The call is over."""
        self._hearing.rounds.leave(self)

    def report(self) -> None:
        """Look at each leg that stands; `Rounds` asks for it."""
        scribe, media, limit_s = self._legs.scribe, self._legs.media, self._hearing.inactivity_s
        now = scribe.now()
        if self._too_long(now):
            return self._legs.end_caller(EndReason.TOO_LONG)
        standing = [(entry, media.quiet_s(entry.name)) for entry in scribe.standing()]
        somebody_speaks = any(quiet_s is not None and quiet_s < WARNED_S for _, quiet_s in standing)
        for entry, quiet_s in standing:
            if quiet_s is None:
                continue
            waited_s = min(quiet_s, _since(entry.answered, now))
            if limit_s and waited_s >= limit_s:
                self._legs.end(entry.name, EndReason.MEDIA_INACTIVE)
            elif waited_s >= WARNED_S and somebody_speaks:
                quality = media.quality(entry.name)
                if quality.spoken_to:
                    scribe.silent(entry, quality.silent or STOPPED)

    def _too_long(self, now: datetime) -> bool:
        limit_s = self._hearing.call_limit_s
        return limit_s > 0 and any(
            entry.name == "caller" and _since(entry.answered, now) >= limit_s
            for entry in self._legs.scribe.standing()
        )


def _since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else (now - moment).total_seconds()
