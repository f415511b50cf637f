"""UDP sockets for RTP and RTCP: all read into one buffer, many per wake-up of the event loop.

A relayed packet costs one read and one write. A socket is read once each time the kernel reports it readable
(checking for more costs half as much as a packet), into a buffer that is reused for every packet and sent
from directly. See "Media" in docs/benchmarks.md.
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
"""Called with a packet and its source. The callee may change the packet in place and send it on, but must
copy whatever it keeps: the buffer is reused as soon as it returns.
"""

MAX_PACKET_BYTES = 2048
"""Buffer size. RTP packets of telephone calls are never longer; one that fills it was truncated, and is
dropped.
"""
_MAX_PER_TURN = 32
"""Packets read per turn of the event loop, one from each socket, so that a flood starves neither other calls
nor the signalling: a third of a millisecond.
"""
_MAX_STALE = 4096
"""Most stale packets to drop from a socket: more than its buffer holds, and a bound however fast they come.
"""
_BUSY_PACKETS, _BUSY_S = 200, 0.01
"""So many packets in so short a time start polling by timer, as each wake-up costs as much as a packet."""
_TICK_S = 0.001
"""Polling interval; a packet carries twenty times as much speech."""
_CALM_PACKETS = 30
"""So few packets in a tick end polling (a tick takes 2 ms where timers are coarse): below some 300 streams,
no packet waits.
"""


class Endpoint(Protocol):
    """One bound UDP port."""

    @property
    def address(self) -> Address:
        """The local address and port."""
        ...

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send, or drop the packet, as UDP may. Never raises for network errors."""
        ...

    def close(self) -> None:
        """Free the port; calling it again does nothing."""
        ...


class PortPair(Protocol):
    """The two ports of a stream in use: RTP, and the next port for RTCP (RFC 3550 §11)."""

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from the RTP port; see `Endpoint`."""
        ...

    def send_rtcp(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from the RTCP port."""
        ...

    def close(self) -> None:
        """Free both ports. Calling it again does nothing, even if they are in use again by then."""
        ...


class MediaNetwork(Protocol):
    """Binds UDP ports: real sockets, or the in-memory network of the tests."""

    def bind(self, host: str, port: int, on_packet: OnPacket) -> Endpoint:
        """Bind a UDP port (0: any) and deliver its packets. Raises OSError if it is taken."""
        ...

    def bind_pair(
        self, host: str, port: int, on_rtp: OnPacket, on_rtcp: OnPacket, *, rested: bool = False
    ) -> PortPair:
        """Bind a UDP port and the next. Raises OSError if one is taken.

        `rested`: the ports were last used so long ago that no packets of that use are left in them.
        """
        ...


class SocketMedia:
    """Real sockets on the running event loop (plain asyncio or uvloop, by `add_reader`).

    Socket pairs are kept open after use for the next user of the same ports, as opening a pair costs more
    than the SIP of half a call. What arrives meanwhile is read and dropped.
    """

    def __init__(self, keep: int = 0) -> None:
        """`keep`: how many unused pairs may stay open."""
        self._keep = keep
        self._idle: dict[Address, _OpenPair] = {}
        self._poller = _Poller()

    def bind(self, host: str, port: int, on_packet: OnPacket) -> SocketEndpoint:
        """Bind a UDP socket; raises OSError if the port is taken or the host is not ours."""
        bound = _bound(host, port)
        watched = _WatchedSocket(bound, on_packet)
        self._poller.add(watched)
        return SocketEndpoint(self._poller, watched, (host, port or bound.getsockname()[1]))

    def bind_pair(
        self, host: str, port: int, on_rtp: OnPacket, on_rtcp: OnPacket, *, rested: bool = False
    ) -> SocketPair:
        """Bind two UDP sockets, or reuse an open pair; raises OSError as `bind` does."""
        pair = self._idle.pop((host, port), None)
        if pair is None:
            pair = self._open(host, port)
        elif not rested:
            pair.drain()  # of packets for the last user
        pair.rtp.user, pair.rtcp.user = on_rtp, on_rtcp
        return SocketPair(self, pair)

    def close(self) -> None:
        """Close the unused pairs."""
        while self._idle:
            self._close(self._idle.popitem()[1])

    def release(self, pair: _OpenPair) -> None:
        """The user of a pair is done with it: keep or close the sockets."""
        pair.rtp.user = pair.rtcp.user = None
        if len(self._idle) < self._keep:
            self._idle[pair.address] = pair
        else:
            self._close(pair)

    def _open(self, host: str, port: int) -> _OpenPair:
        rtp = _WatchedSocket(_bound(host, port))
        try:
            rtcp = _WatchedSocket(_bound(host, port + 1))
        except OSError:
            rtp.bound.close()
            raise
        self._poller.add(rtp)
        self._poller.add(rtcp)
        return _OpenPair((host, port), rtp, rtcp)

    def _close(self, pair: _OpenPair) -> None:
        self._poller.close(pair.rtp)
        self._poller.close(pair.rtcp)


class _WatchedSocket:
    """An open socket, and the callback for its packets."""

    __slots__ = ("bound", "user")

    def __init__(self, bound: socket.socket, user: OnPacket | None = None) -> None:
        self.bound = bound
        self.user = user
        """None: packets are dropped."""

    def drain(self) -> None:
        """Drop whatever is queued in the socket."""
        with suppress(OSError):
            for _ in range(_MAX_STALE):
                self.bound.recv(1)


class _OpenPair:
    """An open socket pair, in use or not."""

    __slots__ = ("address", "rtcp", "rtp")

    def __init__(self, address: Address, rtp: _WatchedSocket, rtcp: _WatchedSocket) -> None:
        self.address = address
        """The RTP socket's address."""
        self.rtp, self.rtcp = rtp, rtcp

    def drain(self) -> None:
        """Drop whatever is queued in both sockets."""
        self.rtp.drain()
        self.rtcp.drain()


def _closed() -> socket.socket:
    closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    closed.close()
    return closed


_CLOSED = _closed()
"""Replaces the socket of a closed endpoint: any operation on it raises OSError."""


class SocketEndpoint:
    """A UDP socket, open until it is closed."""

    __slots__ = ("_bound", "_poller", "_watched", "address")

    def __init__(self, poller: _Poller, watched: _WatchedSocket, address: Address) -> None:
        self._poller, self._watched = poller, watched
        self._bound = watched.bound
        self.address: Address = address
        """The local address and port."""

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send without waiting; what the kernel refuses is dropped."""
        try:
            self._bound.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, connection refused

    def close(self) -> None:
        """Stop receiving and free the port; calling it again does nothing."""
        if self._bound is not _CLOSED:
            self._bound = _CLOSED
            self._poller.close(self._watched)


class SocketPair:
    """One use of a socket pair. The next use of the same sockets has a `SocketPair` of its own, and this one
    no longer reaches them.
    """

    __slots__ = ("_media", "_pair", "rtcp", "rtp")

    def __init__(self, media: SocketMedia, pair: _OpenPair) -> None:
        self._media, self._pair = media, pair
        self.rtp = pair.rtp.bound
        self.rtcp = pair.rtcp.bound

    def send(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from the RTP port; see `SocketEndpoint`."""
        try:
            self.rtp.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, connection refused

    def send_rtcp(self, packet: bytes | memoryview, to: Address) -> None:
        """Send from the RTCP port."""
        try:
            self.rtcp.sendto(packet, to)
        except (OSError, OverflowError):
            return  # buffer full, no route, connection refused

    def close(self) -> None:
        """Stop receiving and release the sockets; calling it again does nothing."""
        if self.rtp is not _CLOSED:
            self.rtp = self.rtcp = _CLOSED
            self._media.release(self._pair)


class _Poller:
    """Reads every socket from when it is opened until it is closed.

    The event loop watches a single `epoll` for all of them: it keeps half a kilobyte for each descriptor it
    watches itself, and a call has four. On systems without `epoll` it watches each socket.

        wakened ── many packets at once ──▶ ticking: every millisecond all sockets are read, no wake-ups
           ▲                                   │
           └────────── few packets ────────────┘
    """

    def __init__(self) -> None:
        self._sockets: list[_WatchedSocket | None] = []
        """Indexed by file descriptor."""
        self._count = 0
        """Number of sockets watched."""
        self._poll: select.epoll | None = None
        self._buffer = bytearray(MAX_PACKET_BYTES)
        whole = memoryview(self._buffer)
        self._views = [whole[:size] for size in range(MAX_PACKET_BYTES + 1)]
        """One view for every possible packet length, made once."""
        self._read, self._counted_from = 0, 0.0
        """Packets read since a moment (loop time), while woken for each packet."""
        self._tick: asyncio.Handle | None = None
        """The next poll while ticking; None while woken for each packet."""

    def add(self, watched: _WatchedSocket) -> None:
        """Start reading its socket."""
        descriptor, sockets = watched.bound.fileno(), self._sockets
        if descriptor >= len(sockets):
            sockets.extend([None] * (descriptor + 1 - len(sockets)))
        sockets[descriptor] = watched
        self._count += 1
        if self._poll is None:
            if not hasattr(select, "epoll"):
                asyncio.get_running_loop().add_reader(descriptor, self._read_one, descriptor)
                return
            self._poll = select.epoll()
            asyncio.get_running_loop().add_reader(self._poll.fileno(), self._woken, self._poll)
        self._poll.register(descriptor, select.EPOLLIN)

    def close(self, watched: _WatchedSocket) -> None:
        """Stop reading the socket and close it; the last one closes the `epoll` too."""
        descriptor = watched.bound.fileno()
        self._sockets[descriptor] = None
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
        watched.bound.close()

    def _woken(self, poll: select.epoll) -> None:
        read = more = self._turn(poll)
        while (
            more and read < _MAX_PER_TURN and self._poll is poll
        ):  # another look is cheaper than another wake-up
            more = self._turn(poll)
            read += more
        self._read += read
        if self._read < _BUSY_PACKETS:
            return
        loop = asyncio.get_running_loop()
        before, self._counted_from, self._read = self._counted_from, loop.time(), 0
        if self._counted_from - before < _BUSY_S and self._poll is poll:
            loop.remove_reader(poll.fileno())
            self._tick = loop.call_later(_TICK_S, self._ticked, poll, False)

    def _ticked(self, poll: select.epoll, again: bool) -> None:
        """Poll once. `again`: still the same tick, as there was more than one turn may read."""
        loop, read = asyncio.get_running_loop(), self._turn(poll)
        if self._poll is not poll:  # closed by the handler of one of the packets
            return
        if read == _MAX_PER_TURN:
            self._tick = loop.call_soon(self._ticked, poll, True)
        elif again or read > _CALM_PACKETS:
            self._tick = loop.call_later(_TICK_S, self._ticked, poll, False)
        else:
            self._tick = None
            loop.add_reader(poll.fileno(), self._woken, poll)

    def _turn(self, poll: select.epoll) -> int:
        """Read one packet from each readable socket; returns how many were readable."""
        ready = poll.poll(0, _MAX_PER_TURN)
        if ready:
            self._deliver(ready)
        return len(ready)

    def _read_one(self, descriptor: int) -> None:
        self._deliver([(descriptor, select.POLLIN)])

    def _deliver(self, ready: list[tuple[int, int]]) -> None:
        sockets, buffer, views = self._sockets, self._buffer, self._views
        for descriptor, _ in ready:
            watched = sockets[descriptor]
            if watched is None:  # closed by the handler of an earlier packet of this turn
                continue
            try:
                size, source = watched.bound.recvfrom_into(buffer)
            except OSError:  # the descriptor was closed and reused: nothing to read yet
                continue
            user = watched.user
            if user is not None and size < MAX_PACKET_BYTES:
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
