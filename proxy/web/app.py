"""The HTTP application: OpenAI's webhook, health and metrics."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from proxy.version import VERSION

BODY_LIMIT_BYTES = 256 * 1024
"""Limit on the body of a webhook, which has a few thousand bytes: strangers may send us as much, and many at
once."""
BODY_LIMIT_S = 10.0
"""Time limit for receiving the body of one webhook."""


class WebhookResult(Protocol):
    """The result of a webhook."""

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        ...

    @property
    def reason(self) -> str:
        """A few words; sent to the client, so never a secret."""
        ...


class WebhookReceiver(Protocol):
    """Receives webhooks."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> WebhookResult:
        """Receive one webhook; header names are in lower case, the body is unmodified. Returns at once."""
        ...


class TooLarge(Exception):
    """The body is larger than any webhook."""


def build_app(
    receiver: WebhookReceiver | None,
    health: Callable[[], Mapping[str, Any]],
    registry: CollectorRegistry,
    *,
    counted: Callable[[str], None] = lambda result: None,
    api: ASGIApp | None = None,
) -> Starlette:
    """Build the application.

    `health` returns ``status`` (``ok`` or ``draining``), ``calls`` and ``peers``; `counted` is called with
    the result of every webhook: ``accepted``, ``refused``, ``failed`` or ``unread``. `api` is mounted at
    ``/api/v1``.
    """

    async def healthz(request: Request) -> Response:
        told = {"version": VERSION, **health()}
        return JSONResponse(told, 200 if told.get("status") == "ok" else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [Route("/healthz", healthz), Route("/metrics", metrics)]
    if receiver is not None:
        routes.append(Route("/openai/webhook", _webhook(receiver, counted), methods=["POST"]))
    if api is not None:
        mount = Mount("/api/v1", api)
        mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)  # paths with %0A belong to it, too
        routes.append(mount)
    return Starlette(routes=routes)


def _webhook(
    receiver: WebhookReceiver, counted: Callable[[str], None]
) -> Callable[[Request], Coroutine[None, None, Response]]:
    """Make the endpoint for webhooks."""

    async def webhook(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                body = await _body(request)
        except TooLarge:
            counted("unread")
            return JSONResponse({"reason": "body too large"}, 413, {"Connection": "close"})
        except (TimeoutError, ClientDisconnect):
            counted("unread")
            return JSONResponse({"reason": "body did not come"}, 408, {"Connection": "close"})
        receipt = receiver.receive(dict(request.headers), body)
        counted({2: "accepted", 4: "refused"}.get(receipt.status // 100, "failed"))
        return JSONResponse({"reason": receipt.reason}, receipt.status)

    return webhook


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise TooLarge
    return bytes(body)
