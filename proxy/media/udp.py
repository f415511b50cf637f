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
    """Real sockets on the running event loop (plain asyncio or uvloop, by `add_reader`)."""

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        return SocketEndpoint(bound, on_packet)


class SocketEndpoint:
    """A UDP socket read by the event loop."""

    def __init__(self, bound: socket.socket, on_packet: OnPacket) -> None:
        self._socket = bound
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.address: Address = bound.getsockname()[:2]
        self.unsent = 0
        """Packets the kernel did not take: buffer full, no route, refused."""
        self._loop.add_reader(bound.fileno(), self._drain)

    def send(self, packet: bytes, to: Address) -> None:
        """Send without waiting; what the kernel refuses is counted and lost."""
        try:
            self._socket.sendto(packet, to)
        except (OSError, OverflowError):
            self.unsent += 1

    def close(self) -> None:
        """Stop reading and free the port."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _drain(self) -> None:
        receive, deliver = self._socket.recvfrom, self._on_packet
        for _ in range(_BURST):
            try:
                packet, source = receive(_LARGEST)
            except OSError:  # nothing left, or closed by the packet before
                return
            if len(packet) < _LARGEST:
                deliver(packet, source[:2])
