"""The first offer and answer of a leg that its peer began (RFC 3261 §13.2.1, RFC 3262 §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.sip.message import Request

if TYPE_CHECKING:
    from proxy.ua.media import LegMedia


class InitialOffer:
    """Which message carries the first offer and answer, and how far the exchange has come.

    INVITE with an offer: our answer in the 2xx
    INVITE without one:   our offer in the 2xx, the peer's answer in the ACK; or
                          our offer in the first reliable provisional, the answer in its PRACK
    """

    __slots__ = ("_awaits_answer", "_complete", "_media", "_offer", "_sdp")

    def __init__(self, media: LegMedia, invite: Request) -> None:
        self._media, self._offer = media, invite.body
        self._sdp: bytes | None = None
        self._complete = self._awaits_answer = False

    @property
    def awaits_answer(self) -> bool:
        """True while the peer has our offer and has not answered it."""
        return self._awaits_answer

    @property
    def refusal_status(self) -> int | None:
        """The status that refuses a further offer of the peer until this one is complete (RFC 3311 §5.2)."""
        if self._complete:
            return None
        return 491 if self._awaits_answer else 500

    def prepare_sdp(self) -> None:
        """Take the peer's offer, or make ours; further calls do nothing. Raises OfferRefused."""
        if self._sdp is None:
            self._sdp = self._media.accept(self._offer) if self._offer else self._media.offer()

    def in_reliable_provisional(self, *, early: bool = False) -> bytes:
        """SDP for a reliable provisional: our offer in the first one, if the INVITE has none (§5).

        Our answer waits for the 2xx, unless audio is to be heard before (`early`). Raises OfferRefused.
        """
        if self._awaits_answer or self._complete or (self._offer and not early):
            return b""
        return self._describe()

    def in_unreliable_provisional(self) -> bytes:
        """SDP for an unreliable provisional that enables early audio: our answer, or nothing.

        The 2xx then repeats the answer (RFC 3261 §13.2.1). There is nothing to send if the offer is ours.
        Raises OfferRefused.
        """
        if not self._offer:
            return b""
        self.prepare_sdp()
        self._sdp = self._sdp or self._media.repeat_sdp()
        return self._sdp

    def in_2xx(self) -> bytes:
        """SDP for our 2xx; empty if the exchange is complete. Raises OfferRefused."""
        return b"" if self._complete else self._describe()

    def answered(self, sdp: bytes) -> None:
        """Take the peer's answer to our offer, from its PRACK or ACK. Raises OfferRefused."""
        if self._awaits_answer:
            self._awaits_answer, self._complete = False, True
            self._media.answered(sdp)

    def _describe(self) -> bytes:
        self.prepare_sdp()
        self._sdp = self._sdp or self._media.repeat_sdp()
        self._complete = bool(self._offer)
        self._awaits_answer = not self._offer
        return self._sdp
