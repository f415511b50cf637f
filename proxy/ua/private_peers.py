"""Peers in our own private network, without NAT in between: who they are and our address there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.transport.private_network import is_private, local_address_near


class PrivatePeer(NamedTuple):
    """A peer's address and ours in a private network that both share."""

    peer: str
    ours: str


MAX_PEERS = 1024
WILDCARD = "0.0.0.0"


class PrivatePeers:
    """Peers in our private network, recognised by what they write into their requests.

    A private source address alone proves little: behind Docker's bridge or a reverse proxy everybody has one,
    and a proxy brings calls of peers elsewhere. But a request whose only Via names that very address came
    directly.
    """

    def __init__(self, find: Callable[[str], str | None] = local_address_near) -> None:
        self._find = find
        self._known: dict[str, PrivatePeer] = {}

    def learn(self, request: Request, flow: Flow) -> None:
        """Update from an INVITE or REGISTER of a peer that may send one; the latest request decides."""
        peer = flow.remote[0]
        if not is_private(peer):
            return
        private_peer = self.by_network(flow) if _came_directly(request, peer) else None
        if private_peer is None:
            self._known.pop(peer, None)
            return
        if len(self._known) >= MAX_PEERS:
            self._known.clear()
        self._known[peer] = private_peer

    def by_network(self, flow: Flow) -> PrivatePeer | None:
        """The pair of addresses according to the network alone, whether or not the peer is a proxy."""
        ours = self._find(flow.remote[0])
        return (
            PrivatePeer(flow.remote[0], ours)
            if ours is not None and flow.local[0] in (ours, WILDCARD)
            else None
        )

    def of(self, flow: Flow) -> PrivatePeer | None:
        """The addresses for the peer of this flow; None if it uses our public one, like everybody else."""
        return self._known.get(flow.remote[0])


def _came_directly(request: Request, peer: str) -> bool:
    try:
        return len(request.headers.split("Via")) == 1 and request.via.host == peer
    except ParseError:
        return False
