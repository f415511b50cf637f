"""The legs of one call, each with its media and its entry in the record; all are ended when the call ends."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from proxy.call.journal import Journal
from proxy.call.leg_media import LegMedia
from proxy.call.record import LegRecord
from proxy.media.interface import MediaSession
from proxy.media.quality import NO_AUDIO
from proxy.media.sdes import SrtpPolicy
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from screening.contract import answered_elsewhere

if TYPE_CHECKING:
    from proxy.ua.latch import Latch


class Legs:
    """Makes the legs of one call, and ends them. The caller's is the first, and encloses all others.

    It is itself the callback for the end of each leg: a bound method per leg would double what a leg costs.
    """

    __slots__ = ("_by_end", "core", "journal", "media")

    def __init__(self, core: UserAgentCore, media: MediaSession, journal: Journal) -> None:
        self.core, self.media, self.journal = core, media, journal
        self._by_end: dict[Latch[EndReason], tuple[Leg, LegRecord | None]] = {}
        """The legs of the call in the order they were begun, by the latch of their end.

        Beside each stands its entry in the record, replaced by None once the end has been noted there.
        """

    def leg(
        self, name: str, *, peer: str, takes_refer: bool = False, srtp: SrtpPolicy = SrtpPolicy.ACCEPT
    ) -> LegScope:
        """Begin a leg for the time of a ``with`` block; legs begun within the block are ended before it."""
        return LegScope(self, self.begin(name, peer, srtp, takes_refer=takes_refer))

    def begin(self, name: str, peer: str, srtp: SrtpPolicy, *, takes_refer: bool = False) -> Leg:
        """Begin a leg, which lasts until `end_after` or its peer ends it; its media are released then."""
        journal = self.journal
        media = LegMedia(self.media, name, srtp, journal)
        leg = Leg(name, self.core, media, takes_refer=takes_refer, log=journal.log)
        self._by_end[leg.ended] = leg, journal.began(name, peer)
        leg.ended.add_done_callback(self)
        return leg

    def find(self, name: str) -> Leg | None:
        """The leg of that name; None if there is none."""
        for leg, _ in self._by_end.values():
            if leg.name == name:
                return leg
        return None

    def call_ids(self) -> list[tuple[str, Sequence[str]]]:
        """The Call-IDs of each leg so far, beside its name in the record."""
        going_on = {entry.name: leg.call_ids for leg, entry in self._by_end.values() if entry is not None}
        return [(name, ids or going_on.get(name, ())) for name, ids in self.journal.call_ids()]

    def end_caller(self, reason: EndReason) -> None:
        """End the caller's leg, and so the call; does nothing if it has not begun."""
        self.end("caller", reason)

    def end(self, name: str, reason: EndReason) -> None:
        """End the leg of that name."""
        if (leg := self.find(name)) is not None:
            leg.end(reason)

    def end_after(self, first: Leg, reason: EndReason = EndReason.COMPLETED) -> None:
        """End the legs that were begun after `first`, the last of them first."""
        if next(reversed(self._by_end)) is not first.ended:
            try:
                self.end_last(reason)
            finally:
                self.end_after(first, reason)

    def end_last(self, reason: EndReason) -> None:
        """End the leg that was begun last, and note that in the record unless it is noted already."""
        ended, (leg, entry) = next(reversed(self._by_end.items()))
        try:
            leg.end(reason)
            if entry is not None:
                self(ended)
        finally:
            del self._by_end[ended]

    def end_reason(self, error: BaseException | None) -> EndReason:
        """The reason for ending the legs that are left when a block is left with this error, or with none.

        It follows from how the caller's leg ended. A CANCEL by which the caller's carrier says that the call
        was answered elsewhere is passed on as such.
        """
        if isinstance(error, Exception) and not isinstance(error, LegEnded):
            return EndReason.FAILED
        ended, (caller, _) = next(iter(self._by_end.items()))
        if not ended.done():
            return EndReason.COMPLETED
        if ended.result() is EndReason.CANCELLED and answered_elsewhere(caller.peer_reason):
            return EndReason.ELSEWHERE  # so that no phone of ours shows a missed call either
        return EndReason.DRAINING if ended.result() is EndReason.DRAINING else EndReason.CALLER_LEFT

    def __call__(self, ended: Latch[EndReason]) -> None:
        """A leg has ended: note how, once, and release its media ports."""
        leg, entry = self._by_end.get(ended, (None, None))
        if leg is None or entry is None:  # noted, or ended for good
            return
        self._by_end[ended] = leg, None
        entry.call_ids = leg.call_ids
        self.journal.leg_ended(entry, ended.result(), leg.peer_reason)
        if (quality := self.media.quality(leg.name)) is not NO_AUDIO:
            self.journal.leg_quality(entry, quality)
        self.media.release(leg.name)


class LegScope:
    """One leg, for the time of a ``with`` block."""

    __slots__ = ("_leg", "_legs")

    def __init__(self, legs: Legs, leg: Leg) -> None:
        self._legs, self._leg = legs, leg

    def __enter__(self) -> Leg:
        return self._leg

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reason = self._legs.end_reason(error)
        try:
            self._legs.end_after(self._leg, reason)
        finally:
            self._legs.end_last(reason)
