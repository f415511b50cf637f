"""What a leg asks of whoever describes its media."""

from __future__ import annotations

from typing import Protocol


class LegMedia(Protocol):
    """Whoever describes the media of one leg; raises OfferRefused."""

    def over(self, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """Its signalling goes over IPv4 or IPv6; `near`, with our address in its own private network, after
        its own.
        """

    def offer(self) -> bytes:
        """Our offer, first or again; empty where the peer, whom we call, is to make the first."""

    def again(self) -> bytes:
        """What the peer was told last, to the byte; the answer, where `accept` left its offer open."""

    def answered(self, sdp: bytes) -> None:
        """Take the peer's answer."""

    def early(self, sdp: bytes) -> None:
        """Take the SDP of a provisional response, which is not the answer yet."""

    def accept(self, sdp: bytes) -> bytes:
        """Take the peer's offer; returns our answer. Empty: it is `again` later, for `Leg.offered` to say."""

    def nothing_of(self, sdp: bytes) -> bytes:
        """The answer that refuses every line of an offer."""

    def pressed(self, digit: str, seconds: float) -> None:
        """The peer says by INFO that a key was pressed."""

    def concede(self) -> bool:
        """Our first offer was refused: whether the next is another, which may please."""
