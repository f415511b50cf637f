"""How packets of one leg's format are sent to another leg: payload type, transcoding, clock rate."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from proxy.media.formats import EVENT_KEY, carries, clock_rate
from proxy.media.g711 import TRANSLATIONS
from proxy.media.negotiation import Agreement


class Route(NamedTuple):
    """How one format is sent to one peer."""

    pt: int
    table: bytes | None
    """Translation table for the payload (between the G.711 laws); None: unchanged."""
    rate: int
    event: bool


def route_for(key: str, agreement: Agreement) -> Route | None:
    """The route for a format (by key) to a peer with this agreement; None if the peer cannot take it."""
    if key == EVENT_KEY:
        return _events(agreement.send.get(key), agreement.event_rate)
    return _route(key, agreement.voice.key, agreement.voice.pt, agreement.send.get(key))


@lru_cache(maxsize=256)
def _route(key: str, voice: str, voice_pt: int, pt: int | None) -> Route | None:
    """As the peer's voice format, transcoded between G.711 laws if need be; else unchanged under `pt`, if
    any.
    """
    if carries(key, voice):
        return Route(voice_pt, TRANSLATIONS.get((key, voice)), clock_rate(key), False)
    return None if pt is None else Route(pt, None, clock_rate(key), False)


@lru_cache(maxsize=256)
def _events(pt: int | None, rate: int) -> Route | None:
    return None if pt is None else Route(pt, None, rate, True)
