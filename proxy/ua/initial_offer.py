"""The first offer and answer of a leg that its peer began (RFC 3261 §13.2.1, RFC 3262 §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.sip.message import Request

if TYPE_CHECKING:
    from proxy.ua.media import LegMedia


class Opening:
    """Where the first descriptions travel, and how far they are.

    INVITE with an offer: our answer in the 2xx
    INVITE without one:   our offer in the 2xx, the peer's answer in the ACK; or
                          our offer in the first reliable provisional, the answer in its PRACK
    """

    __slots__ = ("_awaits_answer", "_complete", "_media", "_offer", "_ours")

    def __init__(self, media: LegMedia, invite: Request) -> None:
        self._media, self._offer = media, invite.body
        self._ours: bytes | None = None
        self._complete = self._awaits_answer = False

    @property
    def awaits_answer(self) -> bool:
        """True while our offer is with the peer, which has not answered it."""
        return self._awaits_answer

    @property
    def owed(self) -> int | None:
        """The status that refuses an offer of the peer while this one is not through (RFC 3311 §5.2)."""
        if self._complete:
            return None
        return 491 if self._awaits_answer else 500

    def consider(self) -> None:
        """Take the peer's offer, or make ours; once is enough. Raises OfferRefused."""
        if self._ours is None:
            self._ours = self._media.accept(self._offer) if self._offer else self._media.offer()

    def in_provisional(self, *, early: bool = False) -> bytes:
        """What a reliable provisional carries: the first one our offer, where the INVITE has none (§5).

        Our answer waits for the 2xx, unless something is to be heard before it. Raises OfferRefused.
        """
        if self._awaits_answer or self._complete or (self._offer and not early):
            return b""
        return self._put()

    def in_ordinary(self) -> bytes:
        """What an ordinary provisional carries where something is to be heard early: our answer, which the
        2xx says once more (RFC 3261 §13.2.1); nothing where the offer is ours. Raises OfferRefused.
        """
        if not self._offer:
            return b""
        self.consider()
        self._ours = self._ours or self._media.again()
        return self._ours

    def in_2xx(self) -> bytes:
        """What our 2xx carries: nothing where all is said already. Raises OfferRefused."""
        return b"" if self._complete else self._put()

    def answered(self, sdp: bytes) -> None:
        """The peer's answer to our offer has come, in its PRACK or ACK. Raises OfferRefused."""
        if self._awaits_answer:
            self._awaits_answer, self._complete = False, True
            self._media.answered(sdp)

    def _put(self) -> bytes:
        self.consider()
        self._ours = self._ours or self._media.again()
        self._complete = bool(self._offer)
        self._awaits_answer = not self._offer
        return self._ours
