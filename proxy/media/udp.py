"""Where RTP meets the network: UDP endpoints, drained in one go per wake-up."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Protocol

Address = tuple[str, int]
OnPacket = Callable[[bytes, Address], None]

_LARGEST = 2048
"""No RTP packet of a telephone call is longer; what fills the buffer was cut and is dropped."""
_BURST = 64
"""Packets read per wake-up of one socket, so that one flood cannot starve the other calls."""


class Endpoint(Protocol):
    """One bound UDP port."""

    @property
    def address(self) -> Address:
        """Where it is bound."""
        ...

    def send(self, packet: bytes, to: Address) -> None:
        """Send, or lose the packet: UDP promises nothing. Never raises because of the network."""
        ...

    def close(self) -> None:
        """Free the port; again does nothing."""
        ...


class MediaNetwork(Protocol):
    """Gives out endpoints: real sockets, or the memory network of the tests."""

    def bind(self, host: str, port: int, on_packet: OnPacket) -> Endpoint:
        """Bind a UDP port (0: any) and have its packets delivered. Raises OSError if it is taken."""
        ...


class SocketMedia:
    """Real sockets on the running event loop (plain asyncio or uvloop, by `add_reader`).

    A socket whose user is gone is kept bound for the next who wants its port: making one costs more than the
    SIP of half a call. What comes in meanwhile is read and dropped.
    """

    def __init__(self, keep: int = 0) -> None:
        """`keep`: how many sockets may stand without a user."""
        self._keep = keep
        self._idle: dict[Address, SocketEndpoint] = {}
        """The last user of each socket that has none."""
        self._watch = _Watch()

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        last = self._idle.pop((host, port), None)
        if last is None:
            bound = _bound(host, port)
        else:
            last.drain()  # what came for that one
            bound = last.bound
        endpoint = SocketEndpoint(bound, host, port or bound.getsockname()[1], on_packet, self)
        self._watch.add(endpoint)
        return endpoint

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._watch.close(self._idle.popitem()[1])

    def let_go(self, endpoint: SocketEndpoint) -> None:
        """An endpoint has lost its user."""
        if len(self._idle) < self._keep:
            self._idle[endpoint.address] = endpoint
        else:
            self._watch.close(endpoint)


class SocketEndpoint:
    """A UDP socket, for the time it has a user."""

    __slots__ = ("_host", "_media", "_port", "_user", "bound", "unsent")

    def __init__(
        self, bound: socket.socket, host: str, port: int, on_packet: OnPacket, media: SocketMedia
    ) -> None:
        self.bound = bound
        """The socket; another's too, once this one is closed."""
        self._host, self._port, self._media = host, port, media
        self._user: OnPacket | None = on_packet
        self.unsent = 0
        """Packets the kernel did not take: buffer full, no route, refused."""

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return self._host, self._port

    def send(self, packet: bytes, to: Address) -> None:
        """Send without waiting; what the kernel refuses is counted and lost."""
        if self._user is None:  # the socket may be another's by now
            self.unsent += 1
            return
        try:
            self.bound.sendto(packet, to)
        except (OSError, OverflowError):
            self.unsent += 1

    def drain(self) -> None:
        """Deliver what has come, a burst at a time; without a user, drop it."""
        receive = self.bound.recvfrom
        for _ in range(_BURST):
            try:
                packet, source = receive(_LARGEST)
            except OSError:  # nothing left, or closed by the packet before
                return
            if self._user is not None and len(packet) < _LARGEST:
                self._user(packet, source[:2])

    def close(self) -> None:
        """Hear no more and free the port; again does nothing."""
        if self._user is not None:
            self._user = None
            self._media.let_go(self)


class _Watch:
    """Reads every socket from the day it is made to the day it is closed.

    The event loop is shown one `epoll` for them all: of a descriptor of its own it keeps half a kilobyte, and
    a call has four. Where there is no `epoll`, it is shown each.
    """

    def __init__(self) -> None:
        self._endpoints: dict[int, SocketEndpoint] = {}
        """Whose each descriptor is, or was last."""
        self._poll: select.epoll | None = None

    def add(self, endpoint: SocketEndpoint) -> None:
        """Read its socket for this one from now on."""
        descriptor = endpoint.bound.fileno()
        known = descriptor in self._endpoints
        self._endpoints[descriptor] = endpoint
        if known:
            return
        if not hasattr(select, "epoll"):
            asyncio.get_running_loop().add_reader(descriptor, self._drain, descriptor)
            return
        if self._poll is None:
            self._poll = select.epoll()
            asyncio.get_running_loop().add_reader(self._poll.fileno(), self._ready)
        self._poll.register(descriptor, select.EPOLLIN)

    def close(self, endpoint: SocketEndpoint) -> None:
        """Stop reading its socket and free the port; the last one takes the `epoll` along."""
        descriptor = endpoint.bound.fileno()
        del self._endpoints[descriptor]
        loop = asyncio.get_running_loop()
        if self._poll is None:
            loop.remove_reader(descriptor)
        elif self._endpoints:
            self._poll.unregister(descriptor)
        else:
            loop.remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None
        endpoint.bound.close()

    def _ready(self) -> None:
        if self._poll is not None:
            for descriptor, _ in self._poll.poll(0):
                self._drain(descriptor)

    def _drain(self, descriptor: int) -> None:
        endpoint = self._endpoints.get(descriptor)
        if endpoint is not None:  # closed by a packet that came in the same turn
            endpoint.drain()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
