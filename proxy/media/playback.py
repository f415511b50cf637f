"""Playing tones, prompts and music to the legs of a session."""

from __future__ import annotations

from typing import Generic, TypeVar

from proxy.media.clip import Clip
from proxy.media.interface import Sounds
from proxy.media.negotiation import Agreement
from proxy.media.player import Player
from proxy.media.stream import Stream

DEFAULT_SOUNDS = Sounds()


class PlaybackLeg:
    """One leg's stream, and its player once there is something to play."""

    __slots__ = ("_player", "stream")

    # Set by the subclass's __init__, for speed: see `Sender`.
    stream: Stream
    _player: Player | None

    @property
    def player(self) -> Player:
        """The leg's player, made on first use."""
        if self._player is None:
            self._player = Player(self.stream)
        return self._player

    def hold(self, clip: Clip | None) -> None:
        """Play this because the other leg is on hold with us; None stops it."""
        if clip is not None or self._player is not None:
            self.player.hold(clip)

    def fill(self, clip: Clip | None) -> None:
        """Play this where the leg would hear nothing; None stops it."""
        if clip is not None or self._player is not None:
            self.player.fill(clip)

    def close(self) -> None:
        """Stop all sound and close the stream."""
        if self._player is not None:
            self._player.stop()
        self.stream.close()


LegT = TypeVar("LegT", bound=PlaybackLeg)


class PlaybackSession(Generic[LegT]):
    """The playback part of `MediaSession`, for sessions whose legs have streams."""

    __slots__ = ("_held", "_legs", "_sounds")

    # Set by the subclass's __init__, for speed: see `Sender`.
    _legs: dict[str, LegT]
    _sounds: Sounds
    _held: bool
    """Some leg has held another during this call."""

    def sounds(self, sounds: Sounds) -> None:
        """Set the tones of this call."""
        self._sounds = sounds

    def ringback(self, leg: str, on: bool, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Play ringback while the leg hears nothing else; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is not None and (on or ours._player):
            ours.player.ring(
                self._sounds.tones.ringback if on else None, after_s=after_s, until_heard=until_heard
            )

    def fill(self, leg: str, clip: Clip | None) -> None:
        """Loop the clip while the leg would hear nothing; see `MediaSession`."""
        ours = self._legs.get(leg)
        if ours is not None:
            ours.fill(clip)

    async def play(self, leg: str, clip: Clip) -> None:
        """Play a clip; returns when it has been played or the leg is gone."""
        ours = self._legs.get(leg)
        if ours is not None:
            await ours.player.play(clip)

    def _update_hold(self, agreement: Agreement | None = None) -> None:
        """Play the hold tone to whoever is joined to a leg that holds; the holding leg itself hears nothing
        (§8.4). Only called once there has been a hold, which is rare.
        """
        if agreement is not None and not agreement.hears:
            self._held = True
        for name, ours in self._legs.items():
            other = ours.stream.joined
            held = other is not None and _holds(other) and not _holds(ours.stream)
            ours.hold(self._sounds.held(name) if held else None)


def _holds(stream: Stream) -> bool:
    return stream.agreement is not None and not stream.agreement.hears
