"""Authentication: the dependencies that endpoints declare."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from proxy.web.api.access import Token
from proxy.web.api.backend import backend_of

log = structlog.get_logger("screendoor")

_bearer = HTTPBearer(auto_error=False, description="one of the tokens of [api]")
"""For the OpenAPI document only; `Access` itself reads the header."""


async def reader(request: Request, _: Annotated[object, Depends(_bearer)]) -> Token:
    """Require a valid token."""
    return await backend_of(request).access.reader(request)


async def writer(request: Request, _: Annotated[object, Depends(_bearer)]) -> Token:
    """Require a token that permits changes, and log the request."""
    token = await backend_of(request).access.writer(request)
    route = getattr(request.scope.get("route"), "path", "")  # the path itself may hold a number
    log.info("api change asked", by=token.name, method=request.method, route=route)
    return token
