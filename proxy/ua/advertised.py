"""Our address as peers see it, in Via and Contact."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.private_peers import PrivatePeer, PrivatePeers


@dataclass(frozen=True, slots=True)
class Advertised:
    """The addresses at which the outside world reaches us."""

    host: str
    """As written in a URI: an IPv6 address in brackets."""
    ports: dict[str, int] = field(default_factory=dict)
    """Port of our listener, by transport."""
    host6: str | None = None
    """For IPv6 peers, if `host` is an IPv4 address."""
    ports6: dict[str, int] = field(default_factory=dict)
    """Port of our IPv6 listener, by transport."""
    private_peers: PrivatePeers | None = None
    """Peers that get an address of our private network instead; None: no peer does."""

    def towards(self, flow: Flow, *, registrar: bool = False) -> str:
        """Host and port for the peer of this flow, in its IP version.

        A `registrar` in our network calls us itself, whoever the calls are from.
        """
        transport = flow.transport
        private_peer = self.private_peer(flow)
        if registrar and private_peer is None and self.private_peers is not None:
            private_peer = self.private_peers.by_network(flow)
        if private_peer is not None and transport != "tls":  # our certificate names the public host
            return f"{private_peer.ours}:{self.ports.get(transport) or flow.local[1]}"
        if ":" in flow.remote[0]:
            port = self.ports6.get(transport) or self.ports.get(transport) or flow.local[1]
            return f"{self.host6 or self.host}:{port}"
        return f"{self.host}:{self.ports.get(transport) or self.ports6.get(transport) or flow.local[1]}"

    def private_peer(self, flow: Flow) -> PrivatePeer | None:
        """The private addresses shared with this peer; None if it gets our public one."""
        return None if self.private_peers is None else self.private_peers.of(flow)

    def learn(self, request: Request, flow: Flow) -> None:
        """Learn from an initial request, which may come from our private network."""
        if self.private_peers is not None and request.method in ("INVITE", "REGISTER"):
            self.private_peers.learn(request, flow)
