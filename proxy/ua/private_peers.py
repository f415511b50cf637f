"""Peers in our own private network, with no address translation before them: who they are, and where they
find us there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.transport.private_network import address_beside, is_private


class Near(NamedTuple):
    """Two who share a private network."""

    peer: str
    ours: str


MAX = 1024
WILDCARD = "0.0.0.0"


class Nearby:
    """Learned from what peers themselves write.

    That the source of a message is in our network says little: before Docker's bridge or a reverse proxy
    all the world has such a source, and a proxy brings calls of peers who are elsewhere. But where it is the
    one Via of the message that names that very address, nobody stands between.
    """

    def __init__(self, find: Callable[[str], str | None] = address_beside) -> None:
        self._find = find
        self._known: dict[str, Near] = {}

    def heard(self, request: Request, flow: Flow) -> None:
        """An INVITE or REGISTER of a peer that may send one: the last word on where it is."""
        peer = flow.remote[0]
        if not is_private(peer):
            return
        near = self.found(flow) if _itself(request, peer) else None
        if near is None:
            self._known.pop(peer, None)
            return
        if len(self._known) >= MAX:
            self._known.clear()
        self._known[peer] = near

    def found(self, flow: Flow) -> Near | None:
        """The same by the network alone, whoever stands behind its peer."""
        ours = self._find(flow.remote[0])
        return Near(flow.remote[0], ours) if ours is not None and flow.local[0] in (ours, WILDCARD) else None

    def of(self, flow: Flow) -> Near | None:
        """The peer of this flow and our address for it; None: that is the public one, as for everybody."""
        return self._known.get(flow.remote[0])


def _itself(request: Request, peer: str) -> bool:
    try:
        return len(request.headers.split("Via")) == 1 and request.via.host == peer
    except ParseError:
        return False
