"""What of a `direct` session takes packets: a relay session does it, for the legs whose packets come here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from proxy.media.clip import Clip
from proxy.media.interface import Counts, Recording, Sounds
from proxy.media.quality import Quality
from proxy.media.session import RelaySession


class Packets(ABC):
    """See `MediaSession`. What takes time brings the leg's packets here first; for all else a leg whose
    packets do not come here is as good as gone.
    """

    def __init__(self, relay: RelaySession) -> None:
        self._relay = relay
        self._ringing: dict[str, tuple[float, bool]] = {}
        """What legs are to hear as soon as their packets come here: the ringback tone, and how;"""
        self._fills: dict[str, Clip | None] = {}
        """and what they hear instead of nothing."""

    def arrived(self, leg: str) -> None:
        """The leg's packets come here from now on."""
        self._relay.fill(leg, self._fills.get(leg))
        if leg in self._ringing:
            after_s, until_heard = self._ringing[leg]
            self._relay.ringback(leg, True, after_s=after_s, until_heard=until_heard)

    def left(self, leg: str) -> None:
        """The leg is gone."""
        self._ringing.pop(leg, None)
        self._fills.pop(leg, None)

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """The ringback tone."""
        self._ringing.pop(leg, None)
        if on:
            self._ringing[leg] = after_s, until_heard
        self._relay.ringback(leg, on, after_s=after_s, until_heard=until_heard)

    def fill(self, leg: str, clip: Clip | None) -> None:
        """What the leg hears instead of nothing."""
        self._fills[leg] = clip
        self._relay.fill(leg, clip)

    @abstractmethod
    async def bring(self, leg: str) -> None:
        """Have the leg's packets come here."""

    def sounds(self, sounds: Sounds) -> None:
        """Of which tones the legs hear."""
        self._relay.sounds(sounds)

    async def play(self, leg: str, clip: Clip) -> None:
        """Play the clip to the leg."""
        await self.bring(leg)
        await self._relay.play(leg, clip)

    def pass_early(self, leg: str, to: str) -> None:
        """What that leg plays before it answers is for `to`."""
        self._relay.pass_early(leg, to)

    def early(self, leg: str, sdp: bytes) -> None:
        """The peer describes what it plays before it answers."""
        self._relay.early(leg, sdp)

    async def digit(self, leg: str) -> str:
        """The next key that the leg has pressed."""
        await self.bring(leg)
        return await self._relay.digit(leg)

    def record(self, leg: str, path: Path) -> Recording:
        """Record what the leg says."""
        return self._relay.record(leg, path)

    def record_both(self, caller: str, path: Path) -> Recording:
        """Record what the leg says and hears; a call that is recorded all along is none of ours."""
        return self._relay.record_both(caller, path)

    def plain(self) -> None:
        """Agree on G.711 where packets come here."""
        self._relay.plain()

    def counts(self, leg: str) -> Counts:
        """The counters of what came here."""
        return self._relay.counts(leg)

    def quality(self, leg: str) -> Quality:
        """How well the leg was heard here."""
        return self._relay.quality(leg)

    def quiet_s(self, leg: str) -> float | None:
        """How long the leg has been silent; None while its packets pass us by: nothing is due here then."""
        return self._relay.quiet_s(leg)
