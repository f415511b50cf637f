"""TCP and TLS connections: one asyncio protocol that frames the stream into messages (RFC 3261 §18.3)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import structlog

from proxy.sip.errors import ParseError
from proxy.sip.framing import StreamFramer
from proxy.transport.flow import Address, Receiver, TransportFailed
from proxy.transport.identity import NOBODY
from proxy.transport.tls_engine import TlsEngine

log = structlog.get_logger("screendoor")

PING = b"\r\n\r\n"

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
"""TCP keep-alive: idle seconds, seconds between probes, probes lost; and the milliseconds until sent data
must be acknowledged."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Time and memory limits of one connection."""

    handshake_s: float = 10.0
    """Limit for the TLS handshake of an inbound connection."""
    first_message_s: float = 30.0
    """An inbound connection without a whole message from a known peer by then is closed."""
    message_s: float = 20.0
    """Limit from the first to the last byte of a message on an inbound connection."""
    linger_s: float = 5.0
    """Limit for flushing the write buffer after `close()`."""
    message_bytes: int = 65536
    """The longest message accepted."""
    unread_bytes: int = 1024 * 1024
    """Limit of the write buffer; above it, the peer does not read, and the connection is aborted."""


class ConnectionTracker(Protocol):
    """Tracks connections; each method is called once per connection, inbound or outbound."""

    def opened(self, flow: StreamFlow) -> None:
        """The socket is open, the TLS handshake still to come. May close the flow within this call."""

    def established(self, flow: StreamFlow) -> None:
        """Messages can be exchanged."""

    def known(self, flow: StreamFlow) -> None:
        """The peer of an inbound connection sent a message that identified it as a known one."""

    def failed(self, flow: StreamFlow, reason: str, why: str) -> None:
        """An inbound connection failed through the peer's fault; `reason` is one of a few words."""

    def gone(self, flow: StreamFlow) -> None:
        """The socket is closed."""


class StreamFlow(asyncio.Protocol):
    """A `Flow` over one TCP connection, with or without TLS.

    Nothing that a peer sends makes a callback raise: a bad stream ends its own connection. If the receiver
    raises, that bug of ours is logged, and the connection stays open.
    """

    reliable = True

    def __init__(
        self,
        receiver: Receiver,
        limits: StreamLimits,
        *,
        inbound: bool,
        engine: TlsEngine | None,
        tracker: ConnectionTracker,
    ) -> None:
        """`engine`: the TLS session, None for TCP. `inbound`: whether the peer connected to us."""
        self.transport = "tls" if engine else "tcp"
        self.local: Address = ("", 0)
        self.remote: Address = ("", 0)
        self.closed = False
        self.peer_names = NOBODY
        """The names verified over TLS, once the handshake is done; empty for TCP."""
        self.mutual = False
        """Whether both ends have verified certificates."""
        self.inbound = inbound
        """Whether the peer connected to us."""
        self.received_count = 0
        """Number of whole messages received."""
        self.used = False
        """Whether a message was sent or received since the last `take_used`."""
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[TransportFailed | None] = loop.create_future()
        """Done once messages can be exchanged (None), or with the error why they never will."""
        self.socket_closed: asyncio.Future[None] = loop.create_future()
        """Done once the socket is closed."""
        self._receiver = receiver
        self._limits = limits
        self._engine = engine
        self._tracker = tracker
        self._framer = StreamFramer(limits.message_bytes)
        self._wire: asyncio.Transport
        self._connected = False
        self._failure: TransportFailed | None = None
        self._closed_by_us = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def peer_name(self) -> str | None:
        """The name verified over TLS; None for TCP and for inbound connections."""
        return self._engine.peer_name if self._engine else None

    @property
    def pongs(self) -> int:
        """The number of our pings that were answered."""
        return self._framer.pongs

    def send(self, data: bytes) -> None:
        """Send one whole message; raises TransportFailed when closed."""
        if self.closed:
            raise TransportFailed(f"connection to {self._peer()} is closed")
        self.used = True
        self._write(self._engine.send(data) if self._engine else data)

    def when_closed(self, then: Callable[[], None]) -> None:
        """Call `then` once the socket is closed."""
        self.socket_closed.add_done_callback(lambda _: then())

    def take_used(self) -> bool:
        """Whether the flow was used since the last call."""
        used, self.used = self.used, False
        return used

    def ping(self) -> int:
        """Send a CRLF keep-alive (RFC 5626 §4.4.1); returns `pongs` as it is before the answer."""
        if not self.closed:
            self._framer.note_ping_sent()
            self._write(self._engine.send(PING) if self._engine else PING)
        return self.pongs

    def close(self) -> None:
        """Close after what was sent is written; the receiver is not notified."""
        self._closed_by_us = True
        self._close(None)

    def fail(self, why: TransportFailed) -> None:
        """Close because the peer is gone; the receiver is notified."""
        self._close(why)
        self._abort()

    def abort(self) -> None:
        """Close at once, discarding unwritten data; the receiver is not notified."""
        self._closed_by_us = True
        self._abort()

    def __repr__(self) -> str:
        return f"<{self.transport} {self._peer()}{' closed' if self.closed else ''}>"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is open; over TLS the handshake begins."""
        self._wire = cast(asyncio.Transport, transport)
        self._connected = True
        self.local = _address(transport.get_extra_info("sockname"))
        self.remote = _address(transport.get_extra_info("peername"))
        connection = transport.get_extra_info("socket")
        if connection is not None:
            _keep_alive(connection)
        self._tracker.opened(self)
        if self.closed:
            return
        if self.inbound and self._receiver.bars(self):
            return self.abort()
        if self.inbound:
            late = TransportFailed(f"no message within {self._limits.first_message_s:g} s")
            self._start_timer(self._limits.first_message_s, "first message", lambda: self._close(late))
        if self._engine is None:
            return self._established()
        if self.inbound:
            slow = TransportFailed(f"TLS handshake not finished within {self._limits.handshake_s:g} s")
            self._start_timer(self._limits.handshake_s, "handshake", lambda: self._close(slow))
        self._write(self._engine.start())

    def data_received(self, data: bytes) -> None:
        """Decrypt if TLS, frame into messages, deliver them."""
        if self.closed:
            return
        if self._engine is None:
            self._frame(data)
            return
        received, answer = self._engine.feed(data)
        if answer:
            self._write(answer)
        if not self.opened.done() and self._engine.established:
            self._stop_timer("handshake")
            self._established()
        if received:
            self._frame(received)
        if self._engine.failure is not None:
            self._close(self._engine.failure)
        elif self._engine.ended:
            self._close(self._closed_by_peer())

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        for what in list(self._timers):
            self._stop_timer(what)
        self.closed = True
        why = self._failure or self._closed_by_peer(exc)
        if not self.opened.done():
            self.opened.set_result(why)
            if self.inbound and not self._closed_by_us:
                self._tracker.failed(self, self._reason(), str(why))
        elif not self._closed_by_us:
            self._notify(self._receiver.lost, self, why)
        self._tracker.gone(self)
        self.socket_closed.set_result(None)

    # internal

    def _established(self) -> None:
        if self._engine is not None:
            self.peer_names, self.mutual = self._engine.peer_names, self._engine.mutual
        self.opened.set_result(None)
        self._tracker.established(self)

    def _reason(self) -> str:
        """Why the connection failed, in one word."""
        if self._failure is None:
            return "broken"
        return (self._engine.blame if self._engine else None) or "timeout"

    def _frame(self, data: bytes) -> None:
        framer = self._framer
        try:
            messages = framer.feed(data)
        except ParseError:
            messages = []
        pings = framer.take_pings() if framer.pings else 0
        if pings and not self.closed and self._peer_is_known():
            self._answer_pings(pings)
            self._stop_timer("first message")  # a known peer keeps a connection ready for its calls
        if messages:
            self.received_count += len(messages)
            self.used = True
        for message in messages:
            if self.closed:
                return
            self._notify(self._receiver.received, self, message)
            if "first message" in self._timers and self._peer_is_known():
                self._stop_timer("first message")
                self._tracker.known(self)
        if self.inbound and (framer.partial or self._timers) and not self.closed:
            self._limit_message_time(progress=bool(messages))
        if framer.fault is not None and not self.closed:
            self._notify(self._receiver.unframeable, self, framer.fault)
            why = f"stream from {self._peer()} cannot be cut into messages: {framer.fault}"
            self._close(TransportFailed(why))

    def _limit_message_time(self, *, progress: bool) -> None:
        """Run a timer while a message is incomplete, so that no peer can hold its memory forever."""
        if progress or not self._framer.partial:
            self._stop_timer("rest")
        if self._framer.partial and "rest" not in self._timers:
            slow = TransportFailed(f"message not finished within {self._limits.message_s:g} s")
            self._start_timer(self._limits.message_s, "rest", lambda: self._close(slow))

    def _peer_is_known(self) -> bool:
        return not self.inbound or self._receiver.welcomes(self)

    def _answer_pings(self, count: int) -> None:
        """Answer each double CRLF with a single one (RFC 5626 §4.4.1)."""
        pong = b"\r\n" * count
        self._write(self._engine.send(pong) if self._engine else pong)

    def _notify(self, what: Callable[..., None], *news: object) -> None:
        try:
            what(*news)
        except Exception:  # otherwise asyncio would close a connection that other calls share
            log.exception("receiver failed", source=self._peer())

    def _write(self, data: bytes) -> None:
        self._wire.write(data)
        waiting = self._wire.get_write_buffer_size()
        if waiting > self._limits.unread_bytes and not self.closed:
            self._failure = TransportFailed(f"{self._peer()} does not read: {waiting} bytes wait for it")
            self.closed = True
            self._wire.abort()

    def _close(self, why: TransportFailed | None) -> None:
        """Close gracefully; `connection_lost` notifies the receiver of `why`, unless we chose to close."""
        if self.closed:
            return
        self._failure = why
        self.closed = True
        if self._engine is not None:
            self._wire.write(self._engine.close())
        self._wire.close()
        self._start_timer(self._limits.linger_s, "linger", self._wire.abort)

    def _abort(self) -> None:
        self.closed = True
        if self._connected:
            self._wire.abort()

    def _closed_by_peer(self, exc: Exception | None = None) -> TransportFailed:
        how = f"broke: {exc}" if exc else "was closed by the peer"
        return TransportFailed(f"connection to {self._peer()} {how}")

    def _peer(self) -> str:
        return f"{self.remote[0]} port {self.remote[1]}"

    def _start_timer(self, seconds: float, what: str, then: Callable[[], None]) -> None:
        self._timers[what] = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_timer(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()


def _address(name: object) -> Address:
    """Host and port of a socket name; empty if the peer has already disconnected."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return "", 0


def _keep_alive(connection: socket.socket) -> None:
    """Enable TCP keep-alive: holds NAT and firewall bindings open, and detects a dead connection soon.

    Otherwise calls over a silently dropped connection would fail for a quarter of an hour.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # Linux has them all, other systems some
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
