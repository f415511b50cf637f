"""Runs uvicorn as a guest in the event loop: no signal handlers, no process exit, no task left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from proxy.transport.reload import Reloading
from proxy.web.handshakes import Handshakes

GRACE_S = 2
"""How long pending requests may take when the server stops."""
HEAD_LIMIT_S = 10.0
"""Time limit for a client to send the head of a request, from connecting or from its first bytes."""

MAX_CONNECTIONS = 1000
"""The most connections at a time: each takes a file descriptor and memory, which calls need. Beyond that, the
one that has been idle longest is closed, or else the one whose body has been outstanding longest, or else the
newest."""

UNREAD_LIMIT_S = 60.0
"""How long sent data may stay unacknowledged, where the system supports it (TCP_USER_TIMEOUT)."""
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)

WARNING_INTERVAL_S = 60.0
"""Interval in which the same uvicorn warning about a stranger's request is logged only once."""


class HttpServer:
    """An HTTP or HTTPS server for the duration of an ``async with``; raises OSError if the port is taken."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        websocket: type[asyncio.Protocol] | None = None,
    ) -> None:
        """`websocket` is uvicorn's protocol class for WebSockets; None disables them."""
        self.host, self.port = host, port
        """Where it listens; once entered, the actual port."""
        self._server = _GuestServer(
            uvicorn.Config(
                app,
                http=_TimeLimitedHttp,
                ws=websocket or "none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._files = (certificate, key) if certificate and key else None
        logging.getLogger("uvicorn.error").addFilter(_WARNING_LIMIT)
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HttpServer:
        self._server.config.load()
        if self._files is not None:  # a certificate that does not load raises here, not in the task
            self._server.secured = Reloading(partial(_context, *self._files), *self._files).current
        family = socket.AF_INET6 if ip_address(self.host).version == 6 else socket.AF_INET
        try:
            self._socket = socket.create_server((self.host, self.port), family=family, backlog=128)
        except OSError as error:  # Python's message is for programmers
            why = os.strerror(error.errno) if error.errno else str(error)
            raise OSError(f"cannot listen on http {self.host} port {self.port}: {why}") from error
        self._socket.setblocking(False)
        # Accepted sockets inherit it; asyncio sets it only for sockets created with IPPROTO_TCP. Without it,
        # a response written in several pieces waits 40 ms for the acknowledgement of the first.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self._socket.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([self._socket]), name="http server")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._serving is not None
        assert self._socket is not None
        self._server.should_exit = True
        try:
            await self._serving
            if left := list(self._server.server_state.tasks):  # cancelled by uvicorn, but not awaited
                await asyncio.wait(left)
        finally:
            self._socket.close()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The TLS context for HTTPS; raises OSError (ssl.SSLError is one) if the files are unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class _GuestServer(uvicorn.Server):
    """uvicorn's server, with signals left to the host process and TLS handshakes to `Handshakes`."""

    secured: Callable[[], ssl.SSLContext] | None = None
    """Returns the TLS context for a new connection; None for plain HTTP."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.secured is None:
            return await super().startup(sockets)
        await super().startup([])
        for each in sockets or ():
            self.servers.append(Handshakes(each, self.secured, self._protocol))  # type: ignore[arg-type]
        return None

    def _protocol(self) -> asyncio.Protocol:
        return _TimeLimitedHttp(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _WarningLimit(logging.Filter):
    """Rate-limits warnings about malformed requests, of which there may be a flood; errors always pass."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        before = self._said.get(record.msg)
        if before is not None and abs(record.created - before) < WARNING_INTERVAL_S:
            return False
        self._said[record.msg] = record.created
        return True


_WARNING_LIMIT = _WarningLimit()


class _TimeLimitedHttp(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with time limits: by itself it waits forever for the head of a request."""

    _due: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if _USER_TIMEOUT is not None:  # RFC 5482: an event stream's client may stop reading for good
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(UNREAD_LIMIT_S * 1000))
        self._since = self.loop.time()
        self._wait(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            hung_up = self._longest_waiting()
            hung_up._stop()
            self.connections.discard(hung_up)  # its connection_lost comes later: must not be chosen twice
            hung_up.transport.abort()

    def _longest_waiting(self) -> _TimeLimitedHttp:
        """The connection that has been idle longest, or else that has owed its body longest."""
        others = [
            each for each in self.connections if isinstance(each, _TimeLimitedHttp) and each is not self
        ]
        idle = [each for each in others if each.cycle is None or each.cycle.response_complete]
        slow = idle or [each for each in others if each.cycle.more_body]
        return min(slow, key=lambda each: each._since, default=self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait(self.transport)
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self, transport: asyncio.Transport) -> None:
        if self._due is None:
            self._due = self.loop.call_later(HEAD_LIMIT_S, transport.close)

    def _stop(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
