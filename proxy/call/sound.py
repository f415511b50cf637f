"""What callers hear from the edge itself: ringback, tones, prompts, and silence packets."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from math import ceil

from proxy.media.clip import Clip
from proxy.media.interface import MediaSession, Sounds
from proxy.media.tones import quiet
from proxy.ua.leg import Leg

SORRY_S = 3.0
"""How long busy or congestion tone is played before we hang up."""
PATIENCE_S = 1.0
"""How long an answered caller hears nothing before ringback is played."""


class EarlyMedia(enum.Enum):
    """What a caller hears before the call is answered (setting `early_media`)."""

    RINGBACK = "ringback"
    """The ringback of the caller's own network, after our 180."""
    TONE = "tone"
    """Our ringback tone, as early media after a 183."""
    PASS = "pass"
    """The same, replaced by the phone's early media as soon as there is any."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Settings of what one number's callers hear from us."""

    media: Sounds = field(default_factory=Sounds)
    greeting: Clip | None = None
    """Played before the beep of the voicemail."""
    unavailable: Clip | None = None
    """Played to an answered caller when nobody takes the call; None for busy or congestion tone."""
    early_media: EarlyMedia = EarlyMedia.RINGBACK


class CallerSounds:
    """Plays to one caller, so that from the answer on there is something to hear at every moment."""

    __slots__ = ("_media", "_sound")

    def __init__(self, media: MediaSession, sound: Sound) -> None:
        self._media, self._sound = media, sound
        media.sounds(sound.media)

    def signal_ringing(self, caller: Leg) -> None:
        """Signal ringing to the caller: by 180, or by 183 with our ringback tone. Raises OfferRefused."""
        if self._sound.early_media is EarlyMedia.RINGBACK:
            return caller.progress(180)
        caller.progress(183, early=True)
        self._media.ringback("caller", True)

    def phone_rings(self, *, answered: bool, alone: bool) -> None:
        """Phones are being rung. `alone`: a single phone, while nobody else talks to the caller."""
        early = self._sound.early_media
        self._media.ringback("caller", answered or early is not EarlyMedia.RINGBACK)
        if alone and early is EarlyMedia.PASS:
            self._media.pass_early_media("phone", "caller")

    def phone_picked_up(self, phone: Leg, *, answered: bool) -> None:
        """A phone was picked up and hears an announcement first: stop its early media, and play ringback."""
        self._media.part(phone.name)
        self.phone_rings(answered=answered, alone=False)

    def ringback_until_heard(self) -> None:
        """Play ringback until the other side is heard."""
        self._media.ringback("caller", True, after_s=PATIENCE_S, until_heard=True)

    def play_silence(self) -> None:
        """Disconnect the caller from other legs; send silence, so that the audio stream goes on."""
        self._media.part("caller")
        self._media.fill("caller", quiet())

    def unavailable_sound(self, *, busy: bool) -> str:
        """What `play_unavailable` plays, for the journal."""
        if self._sound.unavailable:
            return "the prompt for those whom nobody takes"
        return "busy tone" if busy else "congestion tone"

    async def play_unavailable(self, *, busy: bool) -> None:
        """Tell an answered caller that nobody takes the call; returns when that has been played."""
        self.play_silence()
        tones = self._sound.media.tones
        clip = self._sound.unavailable or (tones.busy if busy else tones.congestion)
        for _ in range(1 if self._sound.unavailable else ceil(SORRY_S / clip.seconds)):
            await self._media.play("caller", clip)
