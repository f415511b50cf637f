"""HTTP and WebSocket server of the lab; an application may abort a connection as a network failure would."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from proxy.web.server import HttpServer

_complaints = logging.getLogger("uvicorn.error.lab")
# uvicorn 0.54 takes a refused upgrade, answered as ASGI specifies, for one that was never answered (2026-11)
_complaints.addFilter(lambda record: "without completing handshake" not in record.getMessage())


class _Droppable(WebSocketsSansIOProtocol):
    """A WebSocket whose application may abort the connection: ``websocket.state.drop()``."""

    async def run_asgi(self) -> None:
        self.logger = _complaints
        await super().run_asgi()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"]["drop"] = self.transport.abort


def loopback_server(app: ASGIApp, port: int = 0) -> HttpServer:
    """Serve an application over HTTP and WebSocket on 127.0.0.1, for the duration of an ``async with``."""
    return HttpServer(app, "127.0.0.1", port, websocket=_Droppable)
