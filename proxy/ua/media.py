"""The interface between a leg and its media."""

from __future__ import annotations

from typing import Protocol


class LegMedia(Protocol):
    """Describes the media of one leg in SDP. Methods raise OfferRefused."""

    def use_ip_version(self, ip_version: int, near: tuple[str, str] | None = None) -> None:
        """Signalling uses this IP version; `near`: the peer's and our address in a shared private network."""

    def offer(self) -> bytes:
        """Our offer, the first or a later one; empty if the peer that we call is to make the first."""

    def repeat_sdp(self) -> bytes:
        """Our last SDP, byte for byte; or the answer to the offer that `accept` left open."""

    def answered(self, sdp: bytes) -> None:
        """Take the peer's answer."""

    def take_early_media(self, sdp: bytes) -> None:
        """Take the SDP of a provisional response, which is not yet the answer."""

    def accept(self, sdp: bytes) -> bytes:
        """Take the peer's offer and return our answer; empty if it is to follow through `Leg.offered`."""

    def refuse_all(self, sdp: bytes) -> bytes:
        """The answer that rejects every media line of an offer."""

    def key_pressed(self, digit: str, seconds: float) -> None:
        """The peer reports a key press by INFO."""

    def fall_back(self) -> bool:
        """Our first offer was refused: whether `offer` will now return a different one."""
