"""The seam between bytes and user agents: what a flow, its receiver and a network are."""

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


def in_uri(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def shown(address: Address) -> str:
    """An address as people read it, with its port."""
    host, port = address
    return f"{in_uri(host)}:{port}"


class TransportFailed(SipError):
    """The network failed us; to a transaction it is a 503 (RFC 3261 §8.1.3.1)."""

    status = 503


class NotSent(TransportFailed):
    """The machine could not send a datagram now: an interface is down, say, or its firewall in the way."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place a request may be sent to, as resolution found it (RFC 3263 §4)."""

    transport: str
    """`udp`, `tcp` or `tls`."""
    address: Address
    """Where to connect or send."""
    name: str
    """The host asked for: sent as SNI and checked against the certificate over TLS (RFC 5922 §7.3)."""
    profile: str = ""
    """On whose terms TLS is spoken (`ClientTls`), by its name; empty: the terms of everybody else."""


@dataclass(frozen=True, slots=True)
class ListenOn:
    """One place to listen on."""

    transport: str
    """`udp`, `tcp` or `tls`."""
    bind: Address
    """Port 0 asks for any free port; `Network.listen` returns the one bound."""
    tls: ServerTls | None = None
    """Certificate and key; needed by `tls`, ignored by the others."""


class Flow(Protocol):
    """A way to one peer: a connection, or a UDP listener together with a remote address (RFC 5626 §3)."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    @property
    def reliable(self) -> bool:
        """False for UDP alone."""

    @property
    def local(self) -> Address:
        """Our end."""

    @property
    def remote(self) -> Address:
        """The peer's end."""

    @property
    def closed(self) -> bool:
        """True once nothing can be sent any more."""

    @property
    def peer_name(self) -> str | None:
        """The name that we asked for and verified in the peer's certificate; None if we asked for none."""

    @property
    def peer_names(self) -> frozenset[str]:
        """Every name verified in the peer's certificate, whoever connected."""

    @property
    def mutual(self) -> bool:
        """Both ends have shown a certificate: the connection may be used both ways (RFC 5923 §5)."""

    @property
    def heard(self) -> int:
        """How many whole messages have come by it; over UDP, where nobody asks, one."""

    def when_closed(self, then: Callable[[], None]) -> None:
        """Have `then` called once the connection is closed, by whomever; never for UDP."""

    def send(self, data: bytes) -> None:
        """Send one whole message; returns at once, raises TransportFailed when closed, over UDP NotSent."""

    def close(self) -> None:
        """Close from our side; what was sent before is still written. `Receiver.lost` is not called."""

    def fail(self, why: TransportFailed) -> None:
        """Close, for the peer is not there any more; `Receiver.lost` is called. Nothing, over UDP."""


class Receiver(Protocol):
    """Who gets what arrives; called on the loop, must return soon."""

    def welcomes(self, flow: Flow) -> bool:
        """Whether a peer that connected to us may hear from us; its keep-alives are answered only then."""

    def bars(self, flow: Flow) -> bool:
        """Whether a peer that has just connected to us is to be cut off at once."""

    def needs(self, flow: Flow) -> bool:
        """Whether a dialog, a request or a registration counts on this connection; asked now and then."""

    def received(self, flow: Flow, data: bytes) -> None:
        """One whole message; keep-alives are answered and swallowed before."""

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        """The stream cannot be cut into messages any more.

        An answer may be sent within this call; then the flow closes, and `lost` follows.
        """

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        """A connection ended other than by our `close()`; once for each connection, never for UDP."""


class Network(Protocol):
    """Everything below user agents: sockets in production, memory in tests."""

    def start(self, receiver: Receiver) -> None:
        """Say who receives; once, before the first `listen` or `connect`."""

    async def listen(self, endpoint: ListenOn) -> Address:
        """Listen, and return the address bound; raises TransportFailed if it cannot be had."""

    async def resolve(self, uri: Uri, profile: str = "") -> list[Target]:
        """The places this URI leads to, best first, never empty; raises TransportFailed (RFC 3263 §4).

        `profile`: on whose terms TLS is to be spoken there (`Target.profile`).
        """

    async def connect(self, target: Target) -> Flow:
        """A living flow to the target, reused where one stands; raises TransportFailed."""

    def alias(self, flow: Flow, port: int) -> None:
        """The peer that made this connection takes requests for itself at `port` on it (RFC 5923 §8.2)."""

    async def close(self) -> None:
        """Close every listener and flow."""


def source_of(flow: Flow) -> str:
    """What counts as one source: an address, or the /64 of an IPv6 one, which one host has to itself."""
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
