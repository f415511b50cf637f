"""Where RTP meets the network: UDP endpoints, all read into one buffer, many per wake-up.

One packet costs one read and one write: a socket is read once each time the kernel says that it has something
(asking whether there is more costs half as much as a packet), into a buffer that is never given away, and
leaves from there. See "Media" in docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

Address = tuple[str, int]
OnPacket = Callable[[memoryview, Address], None]
"""Takes a packet and its source. The packet may be changed in place and sent on from there, and is another's
as soon as this returns: who keeps any of it copies it.
"""

LARGEST = 2048
"""No RTP packet of a telephone call is longer; what fills the buffer was cut and is dropped."""
_TURN = 32
"""Packets read before the event loop has its turn, one of each socket, so that no flood can starve the other
calls, nor all of them the signalling: a third of a millisecond.
"""
_MAX_KEPT = 4096
"""Packets to drop from a socket: more than its buffer holds, and an end to it however fast they come."""
_CROWD, _CROWD_S = 200, 0.01
"""So many packets in so short a time, and from then on they are waited for: a wake-up costs one more."""
_TICK_S = 0.001
"""How long the packets of a crowd are waited for; a packet of speech lasts twenty times as long."""
_LULL = 30
"""So few packets in a tick, which takes two milliseconds where timers are coarse, and each may wake us again:
below some 300 streams nobody waits for another.
"""


class Endpoint(Protocol):
    """One bound UDP port."""

    @property
    def address(self) -> Address:
        """Where it is bound."""
        ...

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send, or lose the packet: UDP promises nothing. Never raises because of the network."""
        ...

    def close(self) -> None:
        """Free the port; again does nothing."""
        ...


class Pair(Protocol):
    """One user's hold on the two ports of a stream: RTP's, and the next for RTCP (RFC 3550 §11)."""

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from RTP's port, or lose the packet; see `Endpoint`."""
        ...

    def send_control(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from RTCP's port, likewise."""
        ...

    def close(self) -> None:
        """Free both ports; again does nothing, whoever has them by then."""
        ...


class MediaNetwork(Protocol):
    """Gives out ports: real sockets, or the memory network of the tests."""

    def bind(self, host: str, port: int, on_packet: OnPacket) -> Endpoint:
        """Bind a UDP port (0: any) and have its packets delivered. Raises OSError if it is taken."""
        ...

    def bind_pair(
        self, host: str, port: int, on_rtp: OnPacket, on_rtcp: OnPacket, *, rested: bool = False
    ) -> Pair:
        """Bind a UDP port and the next. Raises OSError if one is taken.

        `rested`: their last user closed them so long ago that nothing it sent or was sent is left.
        """
        ...


class SocketMedia:
    """Real sockets on the running event loop (plain asyncio or uvloop, by `add_reader`).

    A pair whose user is gone is kept bound for the next who wants its ports: making one costs more than the
    SIP of half a call. What comes in meanwhile is read and dropped.
    """

    def __init__(self, keep: int = 0) -> None:
        """`keep`: how many pairs may stand without a user."""
        self._keep = keep
        self._idle: dict[Address, _Standing] = {}
        self._watch = _Watch()

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        bound = _bound(host, port)
        ear = _Ear(bound, on_packet)
        self._watch.add(ear)
        return SocketEndpoint(self._watch, ear, (host, port or bound.getsockname()[1]))

    def bind_pair(
        self, host: str, port: int, on_rtp: OnPacket, on_rtcp: OnPacket, *, rested: bool = False
    ) -> SocketPair:
        """Bind two UDP sockets, or take those that stand; raises OSError as `bind` does."""
        standing = self._idle.pop((host, port), None)
        if standing is None:
            standing = self._stand(host, port)
        elif not rested:
            standing.empty()  # of what came for its last user
        standing.rtp.user, standing.rtcp.user = on_rtp, on_rtcp
        return SocketPair(self, standing)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._fell(self._idle.popitem()[1])

    def let_go(self, standing: _Standing) -> None:
        """A pair has lost its user."""
        standing.rtp.user = standing.rtcp.user = None
        if len(self._idle) < self._keep:
            self._idle[standing.address] = standing
        else:
            self._fell(standing)

    def _stand(self, host: str, port: int) -> _Standing:
        rtp = _Ear(_bound(host, port))
        try:
            rtcp = _Ear(_bound(host, port + 1))
        except OSError:
            rtp.bound.close()
            raise
        self._watch.add(rtp)
        self._watch.add(rtcp)
        return _Standing((host, port), rtp, rtcp)

    def _fell(self, standing: _Standing) -> None:
        self._watch.close(standing.rtp)
        self._watch.close(standing.rtcp)


class _Ear:
    """A socket that is read for as long as it stands, and who is told."""

    __slots__ = ("bound", "user")

    def __init__(self, bound: socket.socket, user: OnPacket | None = None) -> None:
        self.bound = bound
        self.user = user
        """None: what comes is dropped."""

    def empty(self) -> None:
        """Drop what has come so far."""
        with suppress(OSError):
            for _ in range(_MAX_KEPT):
                self.bound.recv(1)


class _Standing:
    """Two sockets, whoever has them."""

    __slots__ = ("address", "rtcp", "rtp")

    def __init__(self, address: Address, rtp: _Ear, rtcp: _Ear) -> None:
        self.address = address
        """Of RTP's."""
        self.rtp, self.rtcp = rtp, rtcp

    def empty(self) -> None:
        """Drop what has come so far."""
        self.rtp.empty()
        self.rtcp.empty()


def _closed() -> socket.socket:
    closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    closed.close()
    return closed


_CLOSED = _closed()
"""What those have in place of theirs who have closed it: whatever is asked of it is an OSError."""


class SocketEndpoint:
    """A UDP socket, until it is closed."""

    __slots__ = ("_bound", "_ear", "_watch", "address")

    def __init__(self, watch: _Watch, ear: _Ear, address: Address) -> None:
        self._watch, self._ear = watch, ear
        self._bound = ear.bound
        self.address: Address = address
        """Where it is bound."""

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send without waiting; what the kernel refuses is lost."""
        try:
            self._bound.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, refused

    def close(self) -> None:
        """Hear no more and free the port; again does nothing."""
        if self._bound is not _CLOSED:
            self._bound = _CLOSED
            self._watch.close(self._ear)


class SocketPair:
    """Two UDP sockets, for one user: who comes after it has a `SocketPair` of its own, and this one reaches
    them no more.
    """

    __slots__ = ("_media", "_standing", "rtcp", "rtp")

    def __init__(self, media: SocketMedia, standing: _Standing) -> None:
        self._media, self._standing = media, standing
        self.rtp = standing.rtp.bound
        self.rtcp = standing.rtcp.bound

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from RTP's port; see `SocketEndpoint`."""
        try:
            self.rtp.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, refused

    def send_control(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from RTCP's port, likewise."""
        try:
            self.rtcp.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, refused

    def close(self) -> None:
        """Hear no more and leave the ports to another; again does nothing."""
        if self.rtp is not _CLOSED:
            self.rtp = self.rtcp = _CLOSED
            self._media.let_go(self._standing)


class _Watch:
    """Reads every socket from the day it is made to the day it is closed.

    The event loop is shown one `epoll` for them all: of a descriptor of its own it keeps half a kilobyte, and
    a call has four. Where there is no `epoll`, it is shown each.

        wakened ── a crowd at once ──▶ ticking: what has come is read every millisecond, and nothing wakes us
           ▲                              │
           └───────────── a lull ─────────┘
    """

    def __init__(self) -> None:
        self._ears: list[_Ear | None] = []
        """By descriptor."""
        self._count = 0
        """How many there are."""
        self._poll: select.epoll | None = None
        self._buffer = bytearray(LARGEST)
        whole = memoryview(self._buffer)
        self._views = [whole[:size] for size in range(LARGEST + 1)]
        """Made once: a view of every length there may be."""
        self._read, self._since = 0, 0.0
        """Packets since a moment (loop time), while every packet wakes us."""
        self._tick: asyncio.Handle | None = None
        """The next one; None while every packet wakes us."""

    def add(self, ear: _Ear) -> None:
        """Read its socket from now on."""
        descriptor, ears = ear.bound.fileno(), self._ears
        if descriptor >= len(ears):
            ears.extend([None] * (descriptor + 1 - len(ears)))
        ears[descriptor] = ear
        self._count += 1
        if self._poll is None:
            if not hasattr(select, "epoll"):
                asyncio.get_running_loop().add_reader(descriptor, self._alone, descriptor)
                return
            self._poll = select.epoll()
            asyncio.get_running_loop().add_reader(self._poll.fileno(), self._wakened, self._poll)
        self._poll.register(descriptor, select.EPOLLIN)

    def close(self, ear: _Ear) -> None:
        """Stop reading its socket and free the port; the last one takes the `epoll` along."""
        descriptor = ear.bound.fileno()
        self._ears[descriptor] = None
        self._count -= 1
        loop = asyncio.get_running_loop()
        if self._poll is None:
            loop.remove_reader(descriptor)
        elif self._count:
            self._poll.unregister(descriptor)
        else:
            if self._tick is None:
                loop.remove_reader(self._poll.fileno())
            else:
                self._tick.cancel()
                self._tick = None
            self._poll.close()
            self._poll = None
        ear.bound.close()

    def _wakened(self, poll: select.epoll) -> None:
        read = more = self._turn(poll)
        while more and read < _TURN and self._poll is poll:  # looking once more is cheaper than to be wakened
            more = self._turn(poll)
            read += more
        self._read += read
        if self._read < _CROWD:
            return
        loop = asyncio.get_running_loop()
        before, self._since, self._read = self._since, loop.time(), 0
        if self._since - before < _CROWD_S and self._poll is poll:
            loop.remove_reader(poll.fileno())
            self._tick = loop.call_later(_TICK_S, self._ticked, poll, False)

    def _ticked(self, poll: select.epoll, again: bool) -> None:
        """`again`: in the same tick, for there was more than a turn may read."""
        loop, read = asyncio.get_running_loop(), self._turn(poll)
        if self._poll is not poll:  # closed by one of the packets
            return
        if read == _TURN:
            self._tick = loop.call_soon(self._ticked, poll, True)
        elif again or read > _LULL:
            self._tick = loop.call_later(_TICK_S, self._ticked, poll, False)
        else:
            self._tick = None
            loop.add_reader(poll.fileno(), self._wakened, poll)

    def _turn(self, poll: select.epoll) -> int:
        """Read one packet of each socket that has some; returns how many had."""
        ready = poll.poll(0, _TURN)
        if ready:
            self._deliver(ready)
        return len(ready)

    def _alone(self, descriptor: int) -> None:
        self._deliver([(descriptor, select.POLLIN)])

    def _deliver(self, ready: list[tuple[int, int]]) -> None:
        ears, buffer, views = self._ears, self._buffer, self._views
        for descriptor, _ in ready:
            ear = ears[descriptor]
            if ear is None:  # closed by a packet of the same turn
                continue
            try:
                size, source = ear.bound.recvfrom_into(buffer)
            except OSError:  # another's by now, who has nothing yet
                continue
            user = ear.user
            if user is not None and size < LARGEST:
                user(views[size], source if len(source) == 2 else source[:2])


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
