"""Where RTP meets the network: UDP endpoints, drained in one go per wake-up."""

from __future__ import annotations

import asyncio
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

    address: Address

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
        self._idle: dict[Address, _Socket] = {}

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        bound = self._idle.pop((host, port), None) or _Socket(host, port)
        return SocketEndpoint(bound, on_packet, self._let_go)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _let_go(self, bound: _Socket) -> None:
        if len(self._idle) < self._keep:
            self._idle[bound.host, bound.address[1]] = bound
        else:
            bound.close()


class _Socket:
    """A bound socket, read from the day it is made to the day it is closed."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.host = host
        self.address: Address = self._socket.getsockname()[:2]
        self.send = self._socket.sendto
        self.user: OnPacket | None = None
        """Who has it now."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self.drain)

    def drain(self) -> None:
        """Deliver what has come, a burst at a time."""
        receive = self._socket.recvfrom
        for _ in range(_BURST):
            try:
                packet, source = receive(_LARGEST)
            except OSError:  # nothing left, or closed by the packet before
                return
            if self.user is not None and len(packet) < _LARGEST:
                self.user(packet, source[:2])

    def close(self) -> None:
        """Stop reading and free the port."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()


class SocketEndpoint:
    """A UDP socket, for the time it has a user."""

    def __init__(self, bound: _Socket, on_packet: OnPacket, let_go: Callable[[_Socket], None]) -> None:
        bound.drain()  # what came for the last one
        bound.user = on_packet
        self._bound, self._let_go = bound, let_go
        self._closed = False
        self.address = bound.address
        self.unsent = 0
        """Packets the kernel did not take: buffer full, no route, refused."""

    def send(self, packet: bytes, to: Address) -> None:
        """Send without waiting; what the kernel refuses is counted and lost."""
        if self._closed:  # the socket may be another's by now
            self.unsent += 1
            return
        try:
            self._bound.send(packet, to)
        except (OSError, OverflowError):
            self.unsent += 1

    def close(self) -> None:
        """Hear no more and free the port; again does nothing."""
        if not self._closed:
            self._closed = True
            self._bound.user = None
            self._let_go(self._bound)
