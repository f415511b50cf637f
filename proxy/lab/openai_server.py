"""uvicorn inside a running loop: no signals taken, the port known at once, nothing left after `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request


_complaints = logging.getLogger("uvicorn.error.lab")
# uvicorn 0.54 takes a refused upgrade, answered as ASGI says, for one that was never answered (2026-11)
_complaints.addFilter(lambda record: "without completing handshake" not in record.getMessage())


class _Droppable(WebSocketsSansIOProtocol):
    """A WebSocket whose application may cut the connection: ``websocket.state.drop()``."""

    async def run_asgi(self) -> None:
        self.logger = _complaints
        await super().run_asgi()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"]["drop"] = self.transport.abort


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the process's signals alone: they belong to whoever runs the loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class LoopbackServer:
    """An ASGI application served over HTTP and WebSocket on 127.0.0.1."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._config = uvicorn.Config(
            app,
            http="h11",
            ws=_Droppable,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._wanted_port = port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0
        """The bound port, once started."""

    async def start(self) -> None:
        """Bind and serve; returns when connections are accepted. Raises OSError if the port is taken."""
        listener = socket.create_server(("127.0.0.1", self._wanted_port))
        self.port = listener.getsockname()[1]
        self._server = _Server(self._config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="openai http")
        await self._server.up.wait()

    async def stop(self) -> None:
        """Stop serving; returns when every connection and task is gone. Calling it again does nothing."""
        server, serving, self._server, self._serving = self._server, self._serving, None, None
        if server is None or serving is None:
            return
        server.should_exit = True
        await serving
        if left := list(server.server_state.tasks):  # cancelled at timeout_graceful_shutdown, but not awaited
            await asyncio.wait(left)
