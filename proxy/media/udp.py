"""Where RTP meets the network: UDP endpoints, drained in one go per wake-up."""

from __future__ import annotations

import asyncio
import contextlib
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

    A socket that is closed is kept bound for the next who binds its port: making one costs more than all the
    SIP of half a call. What comes in meanwhile is read and dropped.
    """

    def __init__(self, keep: int = 0) -> None:
        """`keep`: how many sockets may stand without a user."""
        self._keep = keep
        self._idle: dict[Address, socket.socket] = {}

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        kept = self._idle.pop((host, port), None)
        if kept is not None:
            _empty(kept)
            return SocketEndpoint(self, kept, host, on_packet)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        return SocketEndpoint(self, bound, host, on_packet)

    def let_go(self, bound: socket.socket, host: str, port: int) -> None:
        """Take a socket back from its endpoint."""
        if len(self._idle) < self._keep:
            self._idle[host, port] = bound
        else:
            _close(bound)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            _close(self._idle.popitem()[1])


def _empty(bound: socket.socket) -> None:
    """Drop what came for the port's last user."""
    with contextlib.suppress(OSError):
        while True:
            bound.recv(_LARGEST)


def _close(bound: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(bound.fileno())
    bound.close()


def _drop(packet: bytes, source: Address) -> None:
    """Nobody uses the port now."""


class SocketEndpoint:
    """A UDP socket read by the event loop, for the time it has a user."""

    def __init__(self, media: SocketMedia, bound: socket.socket, host: str, on_packet: OnPacket) -> None:
        self._media, self._socket, self._host = media, bound, host
        self._on_packet = on_packet
        self._closed = False
        self.address: Address = bound.getsockname()[:2]
        self.unsent = 0
        """Packets the kernel did not take: buffer full, no route, refused."""
        asyncio.get_running_loop().add_reader(bound.fileno(), self._drain)

    def send(self, packet: bytes, to: Address) -> None:
        """Send without waiting; what the kernel refuses is counted and lost."""
        if self._closed:  # the socket may be another's by now
            self.unsent += 1
            return
        try:
            self._socket.sendto(packet, to)
        except (OSError, OverflowError):
            self.unsent += 1

    def close(self) -> None:
        """Hear no more and free the port."""
        if not self._closed:
            self._closed = True
            self._on_packet = _drop
            self._media.let_go(self._socket, self._host, self.address[1])

    def _drain(self) -> None:
        receive = self._socket.recvfrom
        for _ in range(_BURST):
            try:
                packet, source = receive(_LARGEST)
            except OSError:  # nothing left, or closed by the packet before
                return
            if len(packet) < _LARGEST:
                self._on_packet(packet, source[:2])
