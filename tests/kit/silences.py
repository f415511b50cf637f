"""Finds the silences that each peer of a call had to listen to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from proxy.lab.audio import TonePeer
from proxy.lab.expect import Traced
from proxy.lab.peer import Peer
from proxy.sip.message import Request, Response

ON_HOLD = re.compile(rb"^a=(sendonly|inactive)\r?$|^c=IN IP4 0\.0\.0\.0\r?$", re.MULTILINE)
"""SDP of a peer that wants no audio: it is on hold (RFC 3264 §8.4)."""
FOREVER = float("inf")


class Silence(NamedTuple):
    """A time without a packet for a peer that was listening."""

    peer: str
    began: float
    seconds: float


def silences(
    peer: Peer, audio: TonePeer, now: float, *, longer_than_s: float, audibly: bool = False
) -> list[Silence]:
    """Every silence longer than that at a peer, while it had an established call that it had not put on hold.

    `audibly`: packets with nothing audible count as silence, too.
    """
    found = []
    arrivals = audio.audible if audibly else audio.arrivals
    known_from = 0.0 if audibly or audio.packets_heard == len(arrivals) else arrivals[0]
    for began, ended in _merged(sorted(_listening_spans(peer))):
        start, end = max(began, known_from), min(ended, now)
        times = [start, *(at for at in arrivals if start < at < end), end]
        found += [
            Silence(peer.name, a, b - a) for a, b in pairwise(times) if b - a > longer_than_s and start < end
        ]
    return found


def _listening_spans(peer: Peer) -> Iterator[tuple[float, float]]:
    """The spans in which each of the peer's calls was established and wanted audio."""
    for call in peer.calls.values():
        accepted, up, on_hold, since = False, False, False, 0.0
        for traced in call.trace:
            was = up and not on_hold
            if traced.direction == ">" and traced.message.body:
                on_hold = ON_HOLD.search(traced.message.body) is not None
            accepted = accepted or _sends_200(traced)
            up = (up or _receives_200(traced) or (accepted and _receives_ack(traced))) and not _ends(traced)
            now = up and not on_hold
            if now and not was:
                since = traced.at
            elif was and not now:
                yield since, traced.at
        if up and not on_hold:
            yield since, FOREVER


def _receives_200(traced: Traced) -> bool:
    """As the calling side, a peer listens from the 200 on."""
    return traced.direction == "<" and _is_2xx(traced.message)


def _sends_200(traced: Traced) -> bool:
    return traced.direction == ">" and _is_2xx(traced.message)


def _receives_ack(traced: Traced) -> bool:
    """As the called side, a peer listens from the ACK on."""
    message = traced.message
    return traced.direction == "<" and isinstance(message, Request) and message.method == "ACK"


def _is_2xx(message: Request | Response) -> bool:
    return isinstance(message, Response) and message.status == 200 and message.cseq.method == "INVITE"


def _ends(traced: Traced) -> bool:
    return isinstance(traced.message, Request) and traced.message.method == "BYE"


def _merged(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Merge overlapping spans: a peer has one audio port for all its calls."""
    began, ended = 0.0, -1.0
    for start, end in spans:
        if start > ended:
            if ended >= began:
                yield began, ended
            began, ended = start, end
        else:
            ended = max(ended, end)
    if ended >= began:
        yield began, ended
