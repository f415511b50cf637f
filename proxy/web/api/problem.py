"""Errors of the API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

log = structlog.get_logger("screendoor")

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""The most wrong fields listed for one request."""


class Field(BaseModel):
    """A problem with one field of a request."""

    at: str
    """The location, such as ``query.limit`` or ``body.number``."""
    why: str


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: list[Field] | None = None


class Problem(HTTPException):
    """A request that cannot be served.

    An HTTPException, so that FastAPI lets it pass while it reads a body.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Any = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.errors = errors

    def response(self) -> Response:
        """Make the response."""
        told = {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
        }
        if self.errors:
            told["errors"] = self.errors
        return Response(json.dumps(told), self.status_code, self.headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems of an endpoint for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Report every error of this application as a problem."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(StarletteError)
    async def http(request: Request, error: StarletteError) -> Response:
        if error.status_code == 400:  # FastAPI's status for a body that cannot be decoded
            return Problem(422, "the request is not as it should be: its body is no JSON").response()
        details = {404: "there is nothing at this address", 405: "not with this method"}
        detail = details.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # The input is not repeated: it may be a secret, and it may be long.
        errors = [
            {"at": ".".join(map(str, one["loc"]))[:200], "why": str(one["msg"])[:200]}
            for one in error.errors()[:MAX_ERRORS]
        ]
        return Problem(422, "the request is not as it should be", errors=errors).response()

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Problem(400, "the body did not come").response()

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return Problem(500, "we erred; the log says how").response()
