"""An in-memory UDP network, for media in virtual time."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable

from proxy.media.udp import Address, OnPacket

_WILDCARDS = ("0.0.0.0", "::")
_FIRST_ANY = 40000


class MemoryMedia:
    """A `MediaNetwork` of one machine and its peers: packets arrive after `delay` seconds, in order."""

    def __init__(self, delay: float = 0.0, address: str = "203.0.113.10") -> None:
        """`address`: the address that a wildcard bind stands for."""
        self.delay = delay
        self.address = address
        self.open: dict[Address, MemoryEndpoint] = {}
        """The endpoints that are bound now; empty once everything is closed."""
        self.lose: Callable[[Address, Address, bytes], bool] = lambda source, to, packet: False
        """Called for each packet: whether the network loses it."""
        self.strayed = 0
        """Packets sent to an address that is not bound."""
        self._under_way: deque[tuple[Address, Address, bytes]] = deque()
        self._next_any = _FIRST_ANY
        self._ways: set[tuple[str, Address]] = set()
        self._sources: set[Address] = set()

    def bind(self, host: str, port: int, on_packet: OnPacket) -> MemoryEndpoint:
        host = self.address if host in _WILDCARDS else host
        if port == 0:
            port, self._next_any = self._next_any, self._next_any + 2
        if (host, port) in self.open:
            raise OSError(errno.EADDRINUSE, f"address in use: {host}:{port}")
        endpoint = MemoryEndpoint(self, (host, port), on_packet)
        self.open[endpoint.address] = endpoint
        return endpoint

    def bind_pair(
        self, host: str, port: int, on_rtp: OnPacket, on_rtcp: OnPacket, *, rested: bool = False
    ) -> MemoryPair:
        rtp = self.bind(host, port, on_rtp)
        try:
            return MemoryPair(rtp, self.bind(host, port + 1, on_rtcp))
        except OSError:
            rtp.close()
            raise

    def sent_to(self, host: str) -> set[Address]:
        """Every address that this host has sent packets to."""
        return {to for source, to in self._ways if source == host}

    @property
    def heard_from(self) -> set[Address]:
        """Every address that has sent a packet to this machine."""
        return self._sources

    def carry(self, source: Address, to: Address, packet: bytes) -> None:
        self._ways.add((source[0], to))
        if to[0] == self.address:
            self._sources.add(source)
        if self.lose(source, to, packet):
            return
        loop = asyncio.get_running_loop()
        self._under_way.append((source, to, packet))
        if self.delay:
            loop.call_later(self.delay, self._arrive)
        else:
            loop.call_soon(self._arrive)

    def _arrive(self) -> None:
        source, to, packet = self._under_way.popleft()  # in order, though timers of one moment may swap
        endpoint = self.open.get(to)
        if endpoint is None:
            self.strayed += 1
        else:
            endpoint.on_packet(memoryview(bytearray(packet)), source)


class MemoryEndpoint:
    """One bound port of a `MemoryMedia`."""

    def __init__(self, network: MemoryMedia, address: Address, on_packet: OnPacket) -> None:
        self._network = network
        self.address = address
        self.on_packet = on_packet

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        if self._network.open.get(self.address) is self:
            self._network.carry(self.address, to, bytes(packet))

    def close(self) -> None:
        if self._network.open.get(self.address) is self:
            del self._network.open[self.address]
        self.on_packet = lambda packet, source: None  # drops the reference to its user, as real ones do


class MemoryPair:
    """Two neighbouring ports of a `MemoryMedia`."""

    def __init__(self, rtp: MemoryEndpoint, rtcp: MemoryEndpoint) -> None:
        self.rtp, self.rtcp = rtp, rtcp

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        self.rtp.send(packet, to)

    def send_rtcp(self, packet: bytes | memoryview, to: Address) -> None:
        self.rtcp.send(packet, to)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()
