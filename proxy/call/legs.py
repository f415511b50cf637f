"""The legs of one call: each with its media and its line in the record, and none left when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.call.leg_media import LegMedia
from proxy.call.record import LegRecord
from proxy.call.scribe import Scribe
from proxy.media.mode import MediaSession
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason


class Legs:
    """Makes the legs of one call. The caller's is the first, and encloses all others."""

    def __init__(self, core: UserAgentCore, media: MediaSession, scribe: Scribe) -> None:
        self._core, self._media, self._scribe = core, media, scribe
        self._latest: dict[str, Leg] = {}

    @contextmanager
    def leg(self, name: str, *, peer: str, takes_refer: bool = False) -> Iterator[Leg]:
        """A leg that is ended, and its media released, when the block is left or its peer goes."""
        log = self._scribe.log.bind(leg=name)
        leg = Leg(name, self._core, LegMedia(self._media, name), takes_refer=takes_refer, log=log)
        self._latest[name] = leg
        entry = self._scribe.began(name, peer)
        leg.ended.add_done_callback(lambda ended: self._over(leg, entry))
        try:
            yield leg
        except LegEnded:
            raise
        except Exception:
            leg.end(EndReason.FAILED)
            raise
        finally:
            leg.end(self._why())
            self._over(leg, entry)

    def end_caller(self, reason: EndReason) -> None:
        """End the leg on which the call hangs; nothing, if it has not begun."""
        if caller := self._latest.get("caller"):
            caller.end(reason)

    def _why(self) -> EndReason:
        """Why a leg that still stands is ended now: for what befell the caller, or because all is said."""
        caller = self._latest["caller"].ended
        if not caller.done():
            return EndReason.COMPLETED
        return EndReason.DRAINING if caller.result() is EndReason.DRAINING else EndReason.CALLER_LEFT

    def _over(self, leg: Leg, entry: LegRecord) -> None:
        """Note how it ended; its ports go back, unless a later leg of the same name has them."""
        self._scribe.leg_ended(entry, leg.ended.result(), leg.peer_reason)
        if self._latest.get(leg.name) is leg:
            self._media.release(leg.name)
