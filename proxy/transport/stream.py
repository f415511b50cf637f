"""TCP and TLS connections: one asyncio protocol that cuts the stream into messages (RFC 3261 §18.3)."""

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
"""Seconds of quiet, seconds between probes, probes lost; milliseconds for what was sent to arrive."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much patience and memory one connection gets."""

    handshake_s: float = 10.0
    """For the TLS handshake of a connection made to us."""
    first_message_s: float = 30.0
    """A connection made to us that has brought no whole message of a welcome peer by then is closed."""
    message_s: float = 20.0
    """From the first byte of a message of a peer that connected to us to its last."""
    linger_s: float = 5.0
    """For writing what is left after `close()`."""
    message_bytes: int = 65536
    """The longest message taken."""
    unread_bytes: int = 1024 * 1024
    """What may wait for a peer that does not read; more, and the connection is cut."""


class Keeper(Protocol):
    """Who counts connections; told once each, whoever made or closed them."""

    def opened(self, flow: StreamFlow) -> None:
        """Its socket is open; over TLS the handshake is still to come. It may be closed within this call."""

    def established(self, flow: StreamFlow) -> None:
        """Messages can flow."""

    def known(self, flow: StreamFlow) -> None:
        """The peer, who connected to us, has said something that made it welcome."""

    def failed(self, flow: StreamFlow, reason: str, why: str) -> None:
        """A connection made to us came to nothing, by a peer's fault; `reason` is one of a few words."""

    def gone(self, flow: StreamFlow) -> None:
        """Its socket is closed."""


class StreamFlow(asyncio.Protocol):
    """A `Flow` over one TCP connection, with or without TLS.

    Nothing a peer sends makes a callback raise: a bad stream ends its own connection, a receiver that
    raises is logged as our bug, and the connection lives on.
    """

    reliable = True

    def __init__(
        self,
        receiver: Receiver,
        limits: StreamLimits,
        *,
        inbound: bool,
        engine: TlsEngine | None,
        keeper: Keeper,
    ) -> None:
        """An `engine` makes it TLS; `inbound` says who made the connection."""
        self.transport = "tls" if engine else "tcp"
        self.local: Address = ("", 0)
        self.remote: Address = ("", 0)
        self.closed = False
        self.peer_names = NOBODY
        """The names verified over TLS, once the handshake is over; none for TCP."""
        self.mutual = False
        """Both ends have shown a certificate."""
        self.inbound = inbound
        """The peer made it."""
        self.heard = 0
        """So many whole messages came."""
        self.used = False
        """A message was sent or came since `take_use` was last called."""
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[TransportFailed | None] = loop.create_future()
        """Done when messages can flow, or with the reason why they never will."""
        self.over: asyncio.Future[None] = loop.create_future()
        """Done when the socket is closed."""
        self._receiver = receiver
        self._limits = limits
        self._engine = engine
        self._keeper = keeper
        self._framer = StreamFramer(limits.message_bytes)
        self._wire: asyncio.Transport
        self._connected = False
        self._failure: TransportFailed | None = None
        self._ours_to_end = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def peer_name(self) -> str | None:
        """The name verified over TLS; None for TCP and for connections made to us."""
        return self._engine.peer_name if self._engine else None

    @property
    def pongs(self) -> int:
        """How many of our pings were answered."""
        return self._framer.pongs

    def send(self, data: bytes) -> None:
        """Send one whole message; raises TransportFailed when closed."""
        if self.closed:
            raise TransportFailed(f"connection to {self._peer()} is closed")
        self.used = True
        self._write(self._engine.send(data) if self._engine else data)

    def when_closed(self, then: Callable[[], None]) -> None:
        """Have `then` called once the socket is closed."""
        self.over.add_done_callback(lambda _: then())

    def take_use(self) -> bool:
        """Whether it was used since last asked."""
        used, self.used = self.used, False
        return used

    def ping(self) -> int:
        """Ask for a sign of life (RFC 5626 §4.4.1); returns `pongs` as it is before the answer."""
        if not self.closed:
            self._framer.pinged()
            self._write(self._engine.send(PING) if self._engine else PING)
        return self.pongs

    def close(self) -> None:
        """Close once what was sent is written; the receiver is not told."""
        self._ours_to_end = True
        self._end(None)

    def fail(self, why: TransportFailed) -> None:
        """Close, for the peer is not there any more; the receiver is told."""
        self._end(why)
        self._abort()

    def abort(self) -> None:
        """Close at once, whatever is left to write."""
        self._ours_to_end = True
        self._abort()

    def __repr__(self) -> str:
        return f"<{self.transport} {self._peer()}{' closed' if self.closed else ''}>"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands; over TLS the handshake begins."""
        self._wire = cast(asyncio.Transport, transport)
        self._connected = True
        self.local = _address(transport.get_extra_info("sockname"))
        self.remote = _address(transport.get_extra_info("peername"))
        connection = transport.get_extra_info("socket")
        if connection is not None:
            _keep_alive(connection)
        self._keeper.opened(self)
        if self.closed:
            return
        if self.inbound and self._receiver.bars(self):
            return self.abort()
        if self.inbound:
            late = TransportFailed(f"no message within {self._limits.first_message_s:g} s")
            self._in(self._limits.first_message_s, "first message", lambda: self._end(late))
        if self._engine is None:
            return self._established()
        if self.inbound:
            slow = TransportFailed(f"TLS handshake not finished within {self._limits.handshake_s:g} s")
            self._in(self._limits.handshake_s, "handshake", lambda: self._end(slow))
        self._write(self._engine.start())

    def data_received(self, data: bytes) -> None:
        """Decrypt if need be, cut into messages, hand them on."""
        if self.closed:
            return
        if self._engine is None:
            self._frame(data)
            return
        received, answer = self._engine.feed(data)
        if answer:
            self._write(answer)
        if not self.opened.done() and self._engine.established:
            self._stop("handshake")
            self._established()
        if received:
            self._frame(received)
        if self._engine.failure is not None:
            self._end(self._engine.failure)
        elif self._engine.ended:
            self._end(self._closed_by_peer())

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        for what in list(self._timers):
            self._stop(what)
        self.closed = True
        why = self._failure or self._closed_by_peer(exc)
        if not self.opened.done():
            self.opened.set_result(why)
            if self.inbound and not self._ours_to_end:
                self._keeper.failed(self, self._reason(), str(why))
        elif not self._ours_to_end:
            self._tell(self._receiver.lost, self, why)
        self._keeper.gone(self)
        self.over.set_result(None)

    # within

    def _established(self) -> None:
        if self._engine is not None:
            self.peer_names, self.mutual = self._engine.peer_names, self._engine.mutual
        self.opened.set_result(None)
        self._keeper.established(self)

    def _reason(self) -> str:
        """Why the handshake failed, in a word."""
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
        if pings and not self.closed and self._welcome():
            self._answer_pings(pings)
            self._stop("first message")  # one of ours keeps a connection ready for its calls
        if messages:
            self.heard += len(messages)
            self.used = True
        for message in messages:
            if self.closed:
                return
            self._tell(self._receiver.received, self, message)
            if "first message" in self._timers and self._welcome():
                self._stop("first message")
                self._keeper.known(self)
        if self.inbound and (framer.partial or self._timers) and not self.closed:
            self._await_rest(progress=bool(messages))
        if framer.fault is not None and not self.closed:
            self._tell(self._receiver.unframeable, self, framer.fault)
            why = f"stream from {self._peer()} cannot be cut into messages: {framer.fault}"
            self._end(TransportFailed(why))

    def _await_rest(self, *, progress: bool) -> None:
        """Who begins a message and never ends it would keep its memory for ever."""
        if progress or not self._framer.partial:
            self._stop("rest")
        if self._framer.partial and "rest" not in self._timers:
            slow = TransportFailed(f"message not finished within {self._limits.message_s:g} s")
            self._in(self._limits.message_s, "rest", lambda: self._end(slow))

    def _welcome(self) -> bool:
        return not self.inbound or self._receiver.welcomes(self)

    def _answer_pings(self, count: int) -> None:
        """RFC 5626 §4.4.1: a double CRLF is answered by a single one."""
        pong = b"\r\n" * count
        self._write(self._engine.send(pong) if self._engine else pong)

    def _tell(self, what: Callable[..., None], *news: object) -> None:
        try:
            what(*news)
        except Exception:  # asyncio would cut a connection that other calls share
            log.exception("receiver failed", source=self._peer())

    def _write(self, data: bytes) -> None:
        self._wire.write(data)
        waiting = self._wire.get_write_buffer_size()
        if waiting > self._limits.unread_bytes and not self.closed:
            self._failure = TransportFailed(f"{self._peer()} does not read: {waiting} bytes wait for it")
            self.closed = True
            self._wire.abort()

    def _end(self, why: TransportFailed | None) -> None:
        """Close in order; `connection_lost` tells the receiver why, unless the end is ours."""
        if self.closed:
            return
        self._failure = why
        self.closed = True
        if self._engine is not None:
            self._wire.write(self._engine.close())
        self._wire.close()
        self._in(self._limits.linger_s, "linger", self._wire.abort)

    def _abort(self) -> None:
        self.closed = True
        if self._connected:
            self._wire.abort()

    def _closed_by_peer(self, exc: Exception | None = None) -> TransportFailed:
        how = f"broke: {exc}" if exc else "was closed by the peer"
        return TransportFailed(f"connection to {self._peer()} {how}")

    def _peer(self) -> str:
        return f"{self.remote[0]} port {self.remote[1]}"

    def _in(self, seconds: float, what: str, then: Callable[[], None]) -> None:
        self._timers[what] = asyncio.get_running_loop().call_later(seconds, then)

    def _stop(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()


def _address(name: object) -> Address:
    """Host and port of a socket's name; a peer that left before we looked has none."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return "", 0


def _keep_alive(connection: socket.socket) -> None:
    """Keep the way open through NATs and firewalls, and find out soon when it is gone.

    A connection that was dropped in silence would otherwise take a quarter of an hour of calls with it.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # Linux has them all, other systems some
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
