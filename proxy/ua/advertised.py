"""Where we are, as others see it: in Via and Contact."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.private_peers import Near, Nearby


@dataclass(frozen=True, slots=True)
class Advertised:
    """What the outside world uses to reach us."""

    host: str
    """As it stands in a URI: an IPv6 address in brackets."""
    ports: dict[str, int] = field(default_factory=dict)
    """Port of our listener, by transport name."""
    host6: str | None = None
    """What peers over IPv6 use instead, where `host` is an address of IPv4."""
    ports6: dict[str, int] = field(default_factory=dict)
    """Port of our IPv6 listener, by transport name."""
    nearby: Nearby | None = None
    """Who is told an address of our private network instead; None: nobody."""

    def towards(self, flow: Flow, *, registrar: bool = False) -> str:
        """Host and port for the peer of this flow, in the IP version that it speaks.

        A `registrar` in our network calls us itself, whoever it calls for.
        """
        transport = flow.transport
        near = self.near(flow)
        if registrar and near is None and self.nearby is not None:
            near = self.nearby.found(flow)
        if near is not None and transport != "tls":  # whose certificate has a name
            return f"{near.ours}:{self.ports.get(transport) or flow.local[1]}"
        if ":" in flow.remote[0]:
            port = self.ports6.get(transport) or self.ports.get(transport) or flow.local[1]
            return f"{self.host6 or self.host}:{port}"
        return f"{self.host}:{self.ports.get(transport) or self.ports6.get(transport) or flow.local[1]}"

    def near(self, flow: Flow) -> Near | None:
        """Of a peer that shares a private network with us; None: it is told our public address."""
        return None if self.nearby is None else self.nearby.of(flow)

    def heard(self, request: Request, flow: Flow) -> None:
        """A request that begins something, perhaps from our private network."""
        if self.nearby is not None and request.method in ("INVITE", "REGISTER"):
            self.nearby.heard(request, flow)
