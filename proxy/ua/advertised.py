"""Where we are, as others see it: in Via and Contact."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.transport.flow import Flow


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

    def towards(self, flow: Flow) -> str:
        """Host and port for the peer of this flow, in the IP version that it speaks."""
        transport = flow.transport
        if ":" in flow.remote[0]:
            port = self.ports6.get(transport) or self.ports.get(transport) or flow.local[1]
            return f"{self.host6 or self.host}:{port}"
        return f"{self.host}:{self.ports.get(transport) or self.ports6.get(transport) or flow.local[1]}"
