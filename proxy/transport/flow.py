"""Interface between transport and user agents: the Flow, Receiver and Network protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Protocol

from proxy.sip.errors import SipError

if TYPE_CHECKING:
    from proxy.sip.errors import ParseError
    from proxy.sip.uri import Uri
    from proxy.transport.tls import ServerTls

Address = tuple[str, int]
"""A numeric host, IPv6 without brackets, and a port."""


def bracketed(host: str) -> str:
    """A host as written in a URI: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def format_address(address: Address) -> str:
    """An address with its port, for humans: `192.0.2.1:5060`, `[2001:db8::1]:5060`."""
    host, port = address
    return f"{bracketed(host)}:{port}"


class TransportFailed(SipError):
    """A transport error; the transaction user treats it as a 503 (RFC 3261 §8.1.3.1)."""

    status = 503


class NotSent(TransportFailed):
    """A datagram could not be sent now: an interface is down, say, or a local firewall blocks it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send a request to, as resolved from a URI (RFC 3263 §4)."""

    transport: str
    """`udp`, `tcp` or `tls`."""
    address: Address
    """Where to connect or send."""
    name: str
    """The host in the URI: sent as SNI and checked against the certificate over TLS (RFC 5922 §7.3)."""
    profile: str = ""
    """Name of the TLS profile (`ClientTls`) to use; empty for the default one."""


@dataclass(frozen=True, slots=True)
class ListenOn:
    """One address to listen on."""

    transport: str
    """`udp`, `tcp` or `tls`."""
    bind: Address
    """Port 0 picks a free port; `Network.listen` returns the one bound."""
    tls: ServerTls | None = None
    """Certificate and key; required for `tls`, ignored otherwise."""


class Flow(Protocol):
    """A flow to one peer: a connection, or a UDP listener plus a remote address (RFC 5626 §3)."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    @property
    def reliable(self) -> bool:
        """False only for UDP."""

    @property
    def local(self) -> Address:
        """The local address."""

    @property
    def remote(self) -> Address:
        """The address of the peer."""

    @property
    def closed(self) -> bool:
        """True once nothing can be sent any more."""

    @property
    def peer_name(self) -> str | None:
        """The name that we dialled and verified in the peer's certificate; None without one."""

    @property
    def peer_names(self) -> frozenset[str]:
        """Every name verified in the peer's certificate, whichever end connected."""

    @property
    def mutual(self) -> bool:
        """Both ends have verified certificates: the connection may be used both ways (RFC 5923 §5)."""

    @property
    def received_count(self) -> int:
        """The number of whole messages received; always 1 over UDP, where it is not used."""

    def when_closed(self, then: Callable[[], None]) -> None:
        """Call `then` once the connection is closed by either end; never for UDP."""

    def send(self, data: bytes) -> None:
        """Send one whole message, without blocking; raises TransportFailed if closed, NotSent over UDP."""

    def close(self) -> None:
        """Close after what was sent is written; `Receiver.lost` is not called."""

    def fail(self, why: TransportFailed) -> None:
        """Close because the peer is gone; `Receiver.lost` is called. Does nothing over UDP."""


class Receiver(Protocol):
    """Receives what arrives; called on the event loop, must return soon."""

    def welcomes(self, flow: Flow) -> bool:
        """Whether a peer that connected to us is known; only then are its keep-alives answered."""

    def bars(self, flow: Flow) -> bool:
        """Whether to drop a peer at once that has just connected to us."""

    def needs(self, flow: Flow) -> bool:
        """Whether a dialog, request or registration still depends on this connection; called periodically."""

    def received(self, flow: Flow, data: bytes) -> None:
        """One whole message arrived; keep-alives are answered and consumed before."""

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        """The stream cannot be framed any more.

        A response may be sent within this call; then the flow is closed, and `lost` follows.
        """

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        """A connection ended other than by our `close()`; once per connection, never for UDP."""


class Network(Protocol):
    """The transport layer as user agents see it: sockets in production, in memory in tests."""

    def start(self, receiver: Receiver) -> None:
        """Set the receiver; call once, before the first `listen` or `connect`."""

    async def listen(self, endpoint: ListenOn) -> Address:
        """Listen and return the bound address; raises TransportFailed if that is impossible."""

    async def resolve(self, uri: Uri, profile: str = "") -> list[Target]:
        """Resolve a URI to targets, best first, never empty; raises TransportFailed (RFC 3263 §4).

        `profile`: the TLS profile of the targets (`Target.profile`).
        """

    async def connect(self, target: Target) -> Flow:
        """An open flow to the target, reused if there is one; raises TransportFailed."""

    def alias(self, flow: Flow, port: int) -> None:
        """Note that requests to the peer's address at `port` may use this inbound flow (RFC 5923 §8.2)."""

    async def close(self) -> None:
        """Close every listener and flow."""


def source_of(flow: Flow) -> str:
    """The source of a flow for per-source limits: its IPv4 address, or IPv6 /64, which is one host's."""
    host = flow.remote[0]
    return _network(host) if ":" in host else host


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        return str(ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        return host


def ip_version(flow: Flow) -> int:
    """4 or 6."""
    return 6 if ":" in flow.remote[0] else 4
