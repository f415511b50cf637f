"""Limits on the size and duration of request bodies, enforced before the API sees a request."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.web.api.problem import Problem

BODY_LIMIT_BYTES = 64 * 1024
UPLOAD_LIMIT_BYTES = 16 * 1024 * 1024
"""Limit of a contact file: a hundred thousand contacts are about 10 MB."""
BODY_LIMIT_S = 10.0
UPLOAD_LIMIT_S = 60.0
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
"""Responses are never pages, and must not be cached."""


class Limits:
    """ASGI middleware around the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        upload = scope["path"].endswith("/import")
        most = UPLOAD_LIMIT_BYTES if upload else BODY_LIMIT_BYTES
        loop = asyncio.get_running_loop()
        due = loop.time() + (UPLOAD_LIMIT_S if upload else BODY_LIMIT_S)
        taken, whole, begun = 0, False, False

        async def bounded() -> Message:
            nonlocal taken, whole
            if whole:
                return await receive()  # only a disconnect can come now
            try:
                async with asyncio.timeout_at(due):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, "the body did not come", {"Connection": "close"}) from None
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > most:
                raise Problem(413, f"a body has at most {most} bytes", {"Connection": "close"})
            return message

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            if int(_header(scope, b"content-length") or 0) > most:
                raise Problem(413, f"a body has at most {most} bytes", {"Connection": "close"})
            await self._app(_asking(scope), bounded, guarded)
        except Problem as problem:
            if begun:
                raise
            await problem.response()(scope, receive, guarded)


def _asking(scope: Scope) -> Scope:
    """Treat HEAD as GET (RFC 9110 §9.3.2); the server leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
