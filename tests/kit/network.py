"""An in-memory network: hosts with addresses and names, and one wire between them all.

    wire = Wire()
    edge = wire.host("203.0.113.10", names=["sbc.example.com"])
    carrier = wire.host("198.51.100.114")

Each host is a `Network` of `proxy.transport.flow`. Messages are never split, and take `wire.delay_s`; streams
keep their order, datagrams may be lost, duplicated or reordered, by a seeded random generator. It runs on the
virtual loop as on any other, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, ListenOn, NotSent, Receiver, Target, TransportFailed

CONNECT_TIMEOUT_S = 4.0
EPHEMERAL = 49152
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Carried:
    """One message that crossed the wire."""

    at: float
    """Loop time of its arrival, or of its loss."""
    source: Address
    destination: Address
    transport: str
    data: bytes

    @property
    def start_line(self) -> str:
        return self.data.partition(b"\r\n")[0].decode(errors="replace")

    def __str__(self) -> str:
        places = " -> ".join(f"{host}:{port}" for host, port in (self.source, self.destination))
        return f"{self.at:9.3f} {self.transport} {places}  {self.start_line}"


class Wire:
    """Connects the hosts, and simulates everything that can go wrong between them."""

    def __init__(self, *, seed: int = 1, delay_s: float = 0.001) -> None:
        self.delay_s = delay_s
        self.loss = self.duplication = self.reordering = 0.0
        """Probabilities for a datagram, 0 to 1. A reordered one takes up to twenty times as long."""
        self.lose: Callable[[Address, Address, bytes], bool] = lambda source, destination, data: False
        """Called for each datagram: whether it is lost, beside random loss."""
        self.trace: list[Carried] = []
        """Every message delivered, in order; a duplicated datagram appears twice."""
        self.lost: list[Carried] = []
        """Every message that did not arrive."""
        self.hosts: dict[str, MemoryNetwork] = {}
        self._names: dict[str, list[str]] = {}
        self._refused: dict[str, str] = {}
        self._silent: set[str] = set()
        self.unreachable: set[str] = set()
        """Addresses without a route: sending a datagram to them fails."""
        self._dice = random.Random(seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def host(self, address: str, names: Iterable[str] = ()) -> MemoryNetwork:
        """Make a host. Several hosts may share a name, which resolves to them in the order they were made."""
        assert address not in self.hosts, f"two hosts at {address}"
        self.hosts[address] = MemoryNetwork(self, address)
        for name in names:
            self._names.setdefault(name.lower(), []).append(address)
        return self.hosts[address]

    def addresses(self, name: str) -> list[str]:
        """Resolve a name; a numeric address stands for itself, an unknown name gives none."""
        bare = name.removeprefix("[").removesuffix("]").lower()
        try:
            return [str(ipaddress.ip_address(bare))]
        except ValueError:
            return list(self._names.get(bare, []))

    def impair(self, *, loss: float = 0.0, duplication: float = 0.0, reordering: float = 0.0) -> None:
        """Set the probabilities of loss, duplication and reordering of datagrams."""
        self.loss, self.duplication, self.reordering = loss, duplication, reordering

    def refuse_tls(self, host: str, reason: str = "certificate not trusted") -> None:
        """TLS handshakes with this name or address fail from now on."""
        self._refused[host.lower()] = reason

    def accept_tls(self, host: str) -> None:
        """Handshakes with this name or address succeed again."""
        self._refused.pop(host.lower(), None)

    def tls_fault(self, target: Target) -> str | None:
        return self._refused.get(target.name.lower()) or self._refused.get(target.address[0])

    def silence(self, address: str, silent: bool = True) -> None:
        """Unplug a host, or plug it in again: packets to and from it vanish without an error."""
        (self._silent.add if silent else self._silent.discard)(address)

    def silent(self, *addresses: str) -> bool:
        return not self._silent.isdisjoint(addresses)

    def flows(self) -> list[MemoryStream]:
        """Open connections, each by the end that made it."""
        return [flow for host in self.hosts.values() for flow in host.streams if flow.outbound]

    def cut(self, flow: MemoryStream) -> None:
        """Reset a connection: both ends learn at once, and what was under way is lost."""
        for end in (flow, flow.other):
            if end.drop():
                end.tell_lost("connection reset by peer")

    def carry(self, source: MemoryUdp, data: bytes) -> None:
        """Deliver a datagram to its destination, unless it is lost."""
        times = 1
        unlucky = self.silent(source.local[0], source.remote[0]) or self._dice.random() < self.loss
        if unlucky or self.lose(source.local, source.remote, data):
            times = 0
            self.lost.append(self._carried(source.local, source.remote, "udp", data))
        elif self._dice.random() < self.duplication:
            times = 2
        for _ in range(times):
            slow = self._dice.random() < self.reordering
            delay = self.delay_s * (self._dice.uniform(1, 20) if slow else 1)
            self.after(delay, lambda: self._datagram(source.local, source.remote, data))

    def arrived(self, source: Address, destination: Address, transport: str, data: bytes) -> None:
        self.trace.append(self._carried(source, destination, transport, data))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run an action after a delay; actions due at the same time run in the order they were scheduled."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay_s
        self._count += 1
        heapq.heappush(self._due, (when, self._count, action))
        loop.call_at(when, self._act)

    def _act(self) -> None:
        heapq.heappop(self._due)[2]()  # as many timers as entries, so the earliest is the one due

    def _datagram(self, source: Address, destination: Address, data: bytes) -> None:
        host = self.hosts.get(destination[0])
        if host is None or not host.datagram(source, destination, data):
            self.lost.append(self._carried(source, destination, "udp", data))

    def _carried(self, source: Address, destination: Address, transport: str, data: bytes) -> Carried:
        return Carried(asyncio.get_running_loop().time(), source, destination, transport, data)


class MemoryUdp:
    """A UDP listener together with one remote address."""

    transport = "udp"
    reliable = False
    peer_name: str | None = None
    peer_names: frozenset[str] = frozenset()
    mutual = False
    received_count = 1

    def __init__(self, host: MemoryNetwork, local: Address, remote: Address) -> None:
        self.local, self.remote = local, remote
        self._host = host

    @property
    def closed(self) -> bool:
        return ("udp", self.local) not in self._host.listening

    def when_closed(self, then: Callable[[], None]) -> None:
        """Never."""

    def send(self, data: bytes) -> None:
        if self.closed:
            raise TransportFailed(f"udp listener {self.local[0]} port {self.local[1]} is closed")
        if self.remote[0] in self._host.wire.unreachable:
            raise NotSent(f"cannot send to {self.remote[0]}: Network is unreachable")
        self._host.wire.carry(self, data)

    def close(self) -> None:
        """Nothing to close: the listener stays."""

    def fail(self, why: TransportFailed) -> None:
        """Nothing fails."""


class MemoryStream:
    """One end of a TCP or TLS connection."""

    reliable = True
    other: MemoryStream

    def __init__(
        self, host: MemoryNetwork, transport: str, local: Address, remote: Address, peer_name: str | None
    ) -> None:
        self.transport, self.local, self.remote, self.peer_name = transport, local, remote, peer_name
        self.peer_names = frozenset([peer_name] if peer_name else [])
        self.mutual = False
        self.received_count = 0
        self.outbound = False
        self.closed = False
        self._host = host
        self._last_due = 0.0
        self._closed_too: list[Callable[[], None]] = []

    def when_closed(self, then: Callable[[], None]) -> None:
        self._closed_too.append(then)

    def send(self, data: bytes) -> None:
        if self.closed:
            raise TransportFailed(f"connection to {self.remote[0]} port {self.remote[1]} is closed")
        self._in_order(lambda: self.other.take(data))

    def close(self) -> None:
        if self.drop():
            self._in_order(self.other.peer_closed)

    def fail(self, why: TransportFailed) -> None:
        if self.drop():
            self.tell_lost(str(why))
            self._in_order(self.other.peer_closed)

    def take(self, data: bytes) -> None:
        """Receive a message from the other end; keep-alives are dropped here (RFC 5626 §4.4.1)."""
        wire = self._host.wire
        if self.closed or wire.silent(self.local[0], self.remote[0]):
            return
        wire.arrived(self.remote, self.local, self.transport, data)
        if data.strip(b"\r\n"):
            self.received_count += 1
            self._host.receiver.received(self, data)

    def peer_closed(self) -> None:
        if self.drop():
            self.tell_lost("connection closed by peer")

    def drop(self) -> bool:
        """Mark as closed; returns False if it was closed already."""
        was_open, self.closed = not self.closed, True
        self._host.forget(self)
        for then in self._closed_too if was_open else []:
            then()
        return was_open

    def tell_lost(self, why: str) -> None:
        self._host.receiver.lost(self, TransportFailed(why))

    def _in_order(self, action: Callable[[], None]) -> None:
        now = asyncio.get_running_loop().time()
        self._last_due = max(self._last_due, now + self._host.wire.delay_s)
        self._host.wire.after(self._last_due - now, action)


class MemoryNetwork:
    """One host: an in-memory `Network`."""

    receiver: Receiver

    def __init__(self, wire: Wire, address: str) -> None:
        self.wire = wire
        self.address = address
        self.listening: set[tuple[str, Address]] = set()
        self.streams: list[MemoryStream] = []
        """Open connections, made and accepted."""
        self._made: dict[Target, MemoryStream] = {}
        self._udp_flows: dict[tuple[Address, Address], MemoryUdp] = {}
        self._ports = iter(range(EPHEMERAL, 65536))

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def listen(self, endpoint: ListenOn) -> Address:
        host, port = endpoint.bind
        if host not in (self.address, "0.0.0.0", "::"):
            raise TransportFailed(f"cannot listen on {host}: the host is {self.address}")
        place = (endpoint.transport, (self.address, port or next(self._ports)))
        if place in self.listening:
            raise TransportFailed(f"address in use: {endpoint.transport} {self.address} port {port}")
        self.listening.add(place)
        return place[1]

    async def resolve(self, uri: Uri, profile: str = "") -> list[Target]:
        """Like RFC 3263 without NAPTR and SRV: the URI's transport, the table of names, the default port."""
        if uri.scheme not in ("sip", "sips"):
            raise TransportFailed(f"a {uri.scheme} URI has no host to resolve")
        transport = uri.transport or "udp"
        if uri.secure and transport in ("udp", "tcp"):
            transport = "tls"
        if transport not in DEFAULT_PORTS:
            raise TransportFailed(f"unknown transport: {transport}")
        addresses = self.wire.addresses(uri.host)
        if not addresses:
            raise TransportFailed(f"no address for {uri.host}")
        port = uri.port or DEFAULT_PORTS[transport]
        name = uri.host.removeprefix("[").removesuffix("]")
        return [Target(transport, (address, port), name, profile) for address in addresses]

    async def connect(self, target: Target) -> MemoryStream | MemoryUdp:
        if target.transport == "udp":
            return self._udp_flow(self._udp_listener(), target.address)
        standing = self._made.get(target)
        if standing is not None and not standing.closed:
            return standing
        return await self._dial(target)

    def alias(self, flow: Flow, port: int) -> None:
        """Not supported in memory."""

    async def close(self) -> None:
        self.listening.clear()
        for flow in list(self.streams):
            flow.close()

    def datagram(self, source: Address, destination: Address, data: bytes) -> bool:
        """Receive a datagram; returns False if nothing listens there."""
        if ("udp", destination) not in self.listening:
            return False
        self.wire.arrived(source, destination, "udp", data)
        if data.strip(b"\r\n"):
            self.receiver.received(self._udp_flow(destination, source), data)
        return True

    def forget(self, flow: MemoryStream) -> None:
        if flow in self.streams:
            self.streams.remove(flow)

    async def _dial(self, target: Target) -> MemoryStream:
        place = f"{target.name} ({target.address[0]} port {target.address[1]}) over {target.transport}"
        if self.wire.silent(self.address, target.address[0]) or target.address[0] not in self.wire.hosts:
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            raise TransportFailed(f"no connection to {place}: no answer within {CONNECT_TIMEOUT_S:g} s")
        await asyncio.sleep(2 * self.wire.delay_s)
        far = self.wire.hosts[target.address[0]]
        if (target.transport, target.address) not in far.listening:
            raise TransportFailed(f"no connection to {place}: connection refused")
        if target.transport == "tls":
            await asyncio.sleep(2 * self.wire.delay_s)
            if fault := self.wire.tls_fault(target):
                raise TransportFailed(f"no connection to {place}: {fault}")
        return self._joined(far, target)

    def _joined(self, far: MemoryNetwork, target: Target) -> MemoryStream:
        local = (self.address, next(self._ports))
        verified = target.name if target.transport == "tls" else None
        near_end = MemoryStream(self, target.transport, local, target.address, verified)
        far_end = MemoryStream(far, target.transport, target.address, local, None)
        near_end.other, far_end.other, near_end.outbound = far_end, near_end, True
        self.streams.append(near_end)
        far.streams.append(far_end)
        self._made[target] = near_end
        if far.receiver.bars(far_end):
            far_end.close()
        return near_end

    def _udp_listener(self) -> Address:
        local = min((at for transport, at in self.listening if transport == "udp"), default=None)
        if local is None:
            raise TransportFailed(f"no udp listener at {self.address}")
        return local

    def _udp_flow(self, local: Address, remote: Address) -> MemoryUdp:
        flow = self._udp_flows.get((local, remote))
        if flow is None:
            flow = self._udp_flows[local, remote] = MemoryUdp(self, local, remote)
        return flow
