"""The legs of one call: each with its media and its line in the record, and none left when it is over."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from proxy.call.leg_media import LegMedia
from proxy.call.record import LegRecord
from proxy.call.scribe import Scribe
from proxy.media.mode import MediaSession
from proxy.media.quality import UNHEARD
from proxy.media.sdes import SrtpPolicy
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.ua.latch import Latch


class Legs:
    """Makes the legs of one call. The caller's is the first, and encloses all others."""

    __slots__ = ("core", "latest", "media", "scribe")

    def __init__(self, core: UserAgentCore, media: MediaSession, scribe: Scribe) -> None:
        self.core, self.media, self.scribe = core, media, scribe
        self.latest: tuple[Leg, ...] = ()
        """The latest leg of each name, the caller's first."""

    def leg(
        self, name: str, *, peer: str, takes_refer: bool = False, srtp: SrtpPolicy = SrtpPolicy.ACCEPT
    ) -> Stretch:
        """A leg that is ended, and its media released, when the block is left or its peer goes."""
        return Stretch(self, name, peer, takes_refer, srtp)

    def several(self) -> Stretches:
        """Room for legs of one ``with``, begun one by one."""
        return Stretches(self)

    def begun(self, leg: Leg) -> None:
        """From now on this is the leg of its name."""
        if (before := self.named(leg.name)) is not None:
            self.latest = tuple(each for each in self.latest if each is not before)
        self.latest = (*self.latest, leg)

    def named(self, name: str) -> Leg | None:
        """The latest leg of that name."""
        for leg in self.latest:
            if leg.name == name:
                return leg
        return None

    def end_caller(self, reason: EndReason) -> None:
        """End the leg on which the call hangs; nothing, if it has not begun."""
        if self.latest:
            self.latest[0].end(reason)

    def end(self, name: str, reason: EndReason) -> None:
        """End the latest leg of that name."""
        if (leg := self.named(name)) is not None:
            leg.end(reason)

    def why(self) -> EndReason:
        """Why a leg that still stands is ended now: for what befell the caller, or because all is said."""
        caller = self.latest[0].ended
        if not caller.done():
            return EndReason.COMPLETED
        return EndReason.DRAINING if caller.result() is EndReason.DRAINING else EndReason.CALLER_LEFT


class Stretch:
    """One leg, for the time of a ``with``; called when the leg is over."""

    __slots__ = ("_entry", "_leg", "_legs")

    def __init__(self, legs: Legs, name: str, peer: str, takes_refer: bool, srtp: SrtpPolicy) -> None:
        scribe = legs.scribe
        media = LegMedia(legs.media, name, srtp, scribe)
        self._legs = legs
        self._leg = Leg(name, legs.core, media, takes_refer=takes_refer, log=scribe.log)
        self._entry: LegRecord | None = scribe.began(name, peer)

    def __enter__(self) -> Leg:
        self._legs.begun(self._leg)
        self._leg.ended.add_done_callback(self)
        return self._leg

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leg = self._leg
        if isinstance(error, Exception) and not isinstance(error, LegEnded):
            leg.end(EndReason.FAILED)
        leg.end(EndReason.COMPLETED if leg.ended.done() else self._legs.why())
        if self._entry is not None:
            self(leg.ended)

    def __call__(self, ended: Latch[EndReason]) -> None:
        """Note how it ended, once; its ports go back, unless a later leg of the same name has them."""
        entry, self._entry = self._entry, None
        if entry is None:
            return
        leg, legs = self._leg, self._legs
        legs.scribe.leg_ended(entry, ended.result(), leg.peer_reason)
        if leg in legs.latest:
            if (quality := legs.media.quality(leg.name)) is not UNHEARD:
                legs.scribe.heard(entry, quality)
            legs.media.release(leg.name)


class Stretches:
    """Several legs, for the time of a ``with``; the last that was begun is ended first."""

    __slots__ = ("_begun", "_legs")

    def __init__(self, legs: Legs) -> None:
        self._legs = legs
        self._begun: tuple[Stretch, ...] = ()

    def leg(self, name: str, *, peer: str, srtp: SrtpPolicy) -> Leg:
        """One leg more; see `Legs.leg`."""
        stretch = Stretch(self._legs, name, peer, False, srtp)
        leg = stretch.__enter__()
        self._begun = (*self._begun, stretch)
        return leg

    def over(self) -> None:
        """End those begun so far, as the end of the block would."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._begun:
                *others, last = self._begun
                self._begun = tuple(others)
                last.__exit__(kind, error, trace)
        finally:
            if self._begun:
                self.__exit__(kind, error, trace)
