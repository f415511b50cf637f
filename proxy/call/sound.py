"""What the legs of a call hear from us, and the moments in which nobody else would be heard."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from math import ceil

from proxy.media.clip import Clip
from proxy.media.interface import MediaSession, Sounds
from proxy.media.tones import quiet
from proxy.ua.leg import Leg

SORRY_S = 3.0
"""How long a tone says that a call goes no further, before we hang up."""
PATIENCE_S = 1.0
"""How long an answered caller hears nothing before it is the ringback tone."""


class EarlyMedia(enum.Enum):
    """What a caller hears before the call is answered."""

    RINGBACK = "ringback"
    """What his own network plays on our 180."""
    TONE = "tone"
    """Our ringback tone, behind a 183."""
    PASS = "pass"
    """The same, and what the phone's side plays as soon as it plays anything."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What one number's callers hear from us."""

    media: Sounds = field(default_factory=Sounds)
    greeting: Clip | None = None
    """Before the beep of the voicemail."""
    unavailable: Clip | None = None
    """Said to a caller whom nobody takes; None: busy or congestion tone."""
    early_media: EarlyMedia = EarlyMedia.RINGBACK


class Company:
    """Keeps one caller company: from his answer on, he hears something at every moment."""

    __slots__ = ("_media", "_sound")

    def __init__(self, media: MediaSession, sound: Sound) -> None:
        self._media, self._sound = media, sound
        media.sounds(sound.media)

    def ringing(self, caller: Leg) -> None:
        """The caller learns that it rings: from his own network, or from us. Raises OfferRefused."""
        if self._sound.early_media is EarlyMedia.RINGBACK:
            return caller.progress(180)
        caller.progress(183, early=True)
        self._media.ringback("caller", True)

    def rings(self, *, answered: bool, alone: bool) -> None:
        """A phone is rung. `alone`: it is one phone, and nobody else talks to the caller meanwhile."""
        early = self._sound.early_media
        self._media.ringback("caller", answered or early is not EarlyMedia.RINGBACK)
        if alone and early is EarlyMedia.PASS:
            self._media.pass_early("phone", "caller")

    def picked_up(self, phone: Leg, *, answered: bool) -> None:
        """Whoever picked up is asked first: what the caller heard of that phone before, he hears no more."""
        self._media.part(phone.name)
        self.rings(answered=answered, alone=False)

    def until_heard(self) -> None:
        """Somebody is about to speak: until he does, it rings."""
        self._media.ringback("caller", True, after_s=PATIENCE_S, until_heard=True)

    def alone(self) -> None:
        """Nobody is with the caller any more; our packets go on, so that nobody takes him for gone."""
        self._media.part("caller")
        self._media.fill("caller", quiet())

    def told(self, *, busy: bool) -> str:
        """What `sorry` plays, in words."""
        if self._sound.unavailable:
            return "the prompt for those whom nobody takes"
        return "busy tone" if busy else "congestion tone"

    async def sorry(self, *, busy: bool) -> None:
        """Nobody takes the call of one who was answered; returns when that is said."""
        self.alone()
        tones = self._sound.media.tones
        clip = self._sound.unavailable or (tones.busy if busy else tones.congestion)
        for _ in range(1 if self._sound.unavailable else ceil(SORRY_S / clip.seconds)):
            await self._media.play("caller", clip)
