"""The part of a direct session that needs packets, done by a `RelaySession` for the legs that come here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from proxy.media.clip import Clip
from proxy.media.interface import Counts, Recording, Sounds
from proxy.media.quality import Quality
from proxy.media.session import RelaySession


class DirectRelay(ABC):
    """See `MediaSession`. Methods that take time first bring the leg's packets here; for all others, a leg
    whose packets do not come here counts as gone.
    """

    def __init__(self, relay: RelaySession) -> None:
        self._relay = relay
        self._ringing: dict[str, tuple[float, bool]] = {}
        """Legs to play ringback to once their packets come here (`after_s`, `until_heard`)."""
        self._fills: dict[str, Clip | None] = {}
        """What each leg hears in place of nothing."""

    def relay_began(self, leg: str) -> None:
        """The leg's packets come here from now on."""
        self._relay.fill(leg, self._fills.get(leg))
        if leg in self._ringing:
            after_s, until_heard = self._ringing[leg]
            self._relay.ringback(leg, True, after_s=after_s, until_heard=until_heard)

    def relay_ended(self, leg: str) -> None:
        """The leg is released."""
        self._ringing.pop(leg, None)
        self._fills.pop(leg, None)

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Play ringback; see `MediaSession`."""
        self._ringing.pop(leg, None)
        if on:
            self._ringing[leg] = after_s, until_heard
        self._relay.ringback(leg, on, after_s=after_s, until_heard=until_heard)

    def fill(self, leg: str, clip: Clip | None) -> None:
        """Loop the clip while the leg would hear nothing; see `MediaSession`."""
        self._fills[leg] = clip
        self._relay.fill(leg, clip)

    @abstractmethod
    async def bring_to_relay(self, leg: str) -> None:
        """Have the leg's packets come here; returns once they do, or once that has failed."""

    def sounds(self, sounds: Sounds) -> None:
        """Set the tones of this call."""
        self._relay.sounds(sounds)

    async def play(self, leg: str, clip: Clip) -> None:
        """Play the clip to the leg."""
        await self.bring_to_relay(leg)
        await self._relay.play(leg, clip)

    def pass_early_media(self, leg: str, to: str) -> None:
        """Let `to` hear that leg's early media."""
        self._relay.pass_early_media(leg, to)

    def take_early_media(self, leg: str, sdp: bytes) -> None:
        """Take the SDP of a leg's early media."""
        self._relay.take_early_media(leg, sdp)

    async def digit(self, leg: str) -> str:
        """The next key pressed on the leg."""
        await self.bring_to_relay(leg)
        return await self._relay.digit(leg)

    def record(self, leg: str, path: Path) -> Recording:
        """Record what the peer sends."""
        return self._relay.record(leg, path)

    def record_both(self, caller: str, path: Path) -> Recording:
        """Record both directions of the leg. A call that is recorded throughout is relayed, never direct."""
        return self._relay.record_both(caller, path)

    def prefer_g711(self) -> None:
        """Prefer G.711 where packets come here."""
        self._relay.prefer_g711()

    def counts(self, leg: str) -> Counts:
        """Counters of the packets that came here."""
        return self._relay.counts(leg)

    def quality(self, leg: str) -> Quality:
        """Audio quality of what came here."""
        return self._relay.quality(leg)

    def quiet_s(self, leg: str) -> float | None:
        """Seconds since the leg was heard; None while its packets do not come here."""
        return self._relay.quiet_s(leg)
