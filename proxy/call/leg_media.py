"""The media of one leg, as the leg asks for it: the seam between SIP's words and media's."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from proxy.media.mode import MediaRefused, MediaSession
from proxy.media.ports import NoPortFree
from proxy.ua.errors import OfferRefused

P = ParamSpec("P")
T = TypeVar("T")


class LegMedia:
    """One leg's view of the call's media session; what media cannot do is said with the status we owe."""

    __slots__ = ("_leg", "_session")

    def __init__(self, session: MediaSession, leg: str) -> None:
        self._session, self._leg = session, leg

    def over(self, ip_version: int) -> None:
        self._session.over(self._leg, ip_version)

    def offer(self) -> bytes:
        return _translated(self._session.offer, self._leg)

    def again(self) -> bytes:
        return _translated(self._session.again, self._leg)

    def answered(self, sdp: bytes) -> None:
        _translated(self._session.answered, self._leg, sdp)

    def early(self, sdp: bytes) -> None:
        self._session.early(self._leg, sdp)

    def accept(self, sdp: bytes) -> bytes:
        return _translated(self._session.accept, self._leg, sdp)

    def pressed(self, digit: str, seconds: float) -> None:
        self._session.pressed(self._leg, digit, seconds)


def _translated(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return ask(*args, **kwargs)
    except MediaRefused as refusal:
        raise OfferRefused(refusal.reason, 488) from refusal
    except NoPortFree as shortage:
        raise OfferRefused("no free media port", 503) from shortage
