"""A call between a caller's and a phone's network namespace, through an edge that forwards in the kernel."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count, pairwise

from proxy.media.engine import MediaEngine
from proxy.media.kernel import flow
from proxy.media.kernel.forwarder import Forwarder
from proxy.media.kernel.stream import KernelStream
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from proxy.media.udp import SocketMedia
from tests.media.kernel.namespaces import EDGE, EDGE6, PEERS, PEERS6, Heard, Namespaces, SocketPeer

LOW = 20000
ENOUGH = 6
"""Packets after which the kernel forwards a stream."""


class Rig:
    def __init__(
        self, namespaces: Namespaces, stack: ExitStack, *, six: bool = False, low: int = LOW
    ) -> None:
        self.namespaces, self.stack, self.low = namespaces, stack, low
        self.edge, self.hosts = (EDGE6, PEERS6) if six else (EDGE, PEERS)
        wildcard = "::" if six else "0.0.0.0"
        with namespaces.inside("edge"):
            self.forwarder = Forwarder(low, low + 99, [wildcard])
            self.forwarder.watch()
        stack.callback(self.forwarder.close)
        self.media = SocketMedia()
        self.ports = PortPool(low, low + 99)
        numbers = count(0xFFF0)
        clock = asyncio.get_running_loop().time
        self.session = RelaySession(
            MediaEngine(
                self.media,
                self.ports,
                wildcard,
                self.edge["caller"],
                lambda bits: next(numbers) % (1 << bits),
                clock,
                make_stream=partial(KernelStream, self.forwarder),
            )
        )
        stack.callback(self.session.close)
        self.caller, self.phone = self.add_peer("caller", 0xAAAA), self.add_peer("phone", 0xBBBB)

    def add_peer(self, who: str, ssrc: int, port: int = 0) -> SocketPeer:
        with self.namespaces.inside(who):
            far = SocketPeer(self.hosts[who], ssrc, port)
        self.stack.callback(far.close)
        return far

    def agree(self, caller: str = "0 101", phone: str = "0 101") -> None:
        """Complete offer and answer for both legs, and join them."""
        with self.namespaces.inside("edge"):
            self.session.accept("caller", self.caller.sdp(formats=caller))
            self.session.offer("phone")
        self.session.answered("phone", self.phone.sdp(formats=phone))
        for who, far in (("caller", self.caller), ("phone", self.phone)):
            far.remote = (self.edge[who], self.port(who))
        self.session.join("caller", "phone")

    async def talk(self, packets: int = ENOUGH) -> tuple[list[Heard], list[Heard]]:
        """Send that many packets each way; returns what the caller received, and what the phone received."""
        at_caller, at_phone = [], []
        for _ in range(packets):
            self.caller.send_speech()
            at_phone += await self.phone.receive(1)
            self.phone.send_speech()
            at_caller += await self.caller.receive(1)
        return at_caller, at_phone

    def port(self, leg: str) -> int:
        address = self.session.address(leg)
        assert address is not None
        return address[1]

    def stream(self, leg: str) -> KernelStream:
        stream = self.session._stream(leg)
        assert isinstance(stream, KernelStream)
        return stream

    def in_kernel(self) -> tuple[bool, bool]:
        return self.stream("caller").in_kernel, self.stream("phone").in_kernel

    def forwarded(self, leg: str) -> int:
        """Packets of that leg that the kernel has forwarded, by its own count."""
        at = (self.port(leg) - self.low) // 2 * flow.RECORD_BYTES + flow.PACKETS
        (packets,) = struct.unpack_from("=Q", self.forwarder.memory, at)
        return int(packets)


@contextmanager
def rig(namespaces: Namespaces, *, six: bool = False, low: int = LOW) -> Iterator[Rig]:
    """A rig that is closed at the end, with all ports returned."""
    with ExitStack() as stack:
        made = Rig(namespaces, stack, six=six, low=low)
        yield made
        made.session.close()
        assert made.ports.lent == 0


def is_one_stream(heard: list[Heard]) -> bool:
    """Whether the packets form one stream: one SSRC, consecutive numbers, timestamps that never go back."""
    steps = {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(heard)}
    ticks = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(heard)]
    return len({each.ssrc for each in heard}) == 1 and steps == {1} and max(ticks) < 0x80000000
