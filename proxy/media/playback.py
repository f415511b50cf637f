"""The part of a session that plays sound of our own to its legs."""

from __future__ import annotations

from typing import Generic, TypeVar

from proxy.media.clip import Clip
from proxy.media.interface import Sounds
from proxy.media.negotiation import Agreement
from proxy.media.player import Player
from proxy.media.stream import Stream

USUAL_SOUNDS = Sounds()


class SoundedLeg:
    """One leg's stream, and its player once there is something to play."""

    __slots__ = ("_player", "stream")

    # Made by whoever makes the rest of it: see `Speaker`.
    stream: Stream
    _player: Player | None

    @property
    def player(self) -> Player:
        """Who plays to it."""
        if self._player is None:
            self._player = Player(self.stream)
        return self._player

    def hold(self, clip: Clip | None) -> None:
        """What is heard because the other holds, or none."""
        if clip is not None or self._player is not None:
            self.player.hold(clip)

    def fill(self, clip: Clip | None) -> None:
        """What is heard where there would be nothing, or none."""
        if clip is not None or self._player is not None:
            self.player.fill(clip)

    def close(self) -> None:
        """No sound, no socket."""
        if self._player is not None:
            self._player.stop()
        self.stream.close()


LegT = TypeVar("LegT", bound=SoundedLeg)


class SoundedSession(Generic[LegT]):
    """What a session whose legs have streams says of `MediaSession` about sound."""

    __slots__ = ("_held", "_legs", "_sounds")

    # Made by whoever makes the rest of it: see `Speaker`.
    _legs: dict[str, LegT]
    _sounds: Sounds
    _held: bool
    """Somebody has held somebody."""

    def sounds(self, sounds: Sounds) -> None:
        """The tones of this call."""
        self._sounds = sounds

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Ringback tone while nothing else is heard; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is not None and (on or ours._player):
            ours.player.ring(
                self._sounds.tones.ringback if on else None, after_s=after_s, until_heard=until_heard
            )

    def fill(self, leg: str, clip: Clip | None) -> None:
        """Something where there would be nothing."""
        ours = self._legs.get(leg)
        if ours is not None:
            ours.fill(clip)

    async def play(self, leg: str, clip: Clip) -> None:
        """Play a clip; returns when it has been played, or the leg is gone."""
        ours = self._legs.get(leg)
        if ours is not None:
            await ours.player.play(clip)

    def _heed_hold(self, agreement: Agreement | None = None) -> None:
        """Who is joined to somebody that holds is told so; the one who holds hears nothing (§8.4). Needs to
        be said only once somebody has held, which is rare.
        """
        if agreement is not None and not agreement.hears:
            self._held = True
        for name, ours in self._legs.items():
            other = ours.stream.joined
            held = other is not None and _holds(other) and not _holds(ours.stream)
            ours.hold(self._sounds.held(name) if held else None)


def _holds(stream: Stream) -> bool:
    return stream.agreement is not None and not stream.agreement.hears
