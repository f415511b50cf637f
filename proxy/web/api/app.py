"""The API application, mounted at ``/api/v1``."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from proxy.version import VERSION
from proxy.web.api import callers, calls, costs, events, lists, live, problem, voicemails
from proxy.web.api.backend import Backend, BackendUnavailable, InvalidRequest
from proxy.web.api.limits import Limits
from proxy.web.api.problem import Problem, ProblemDetails

PREFIX = "/api/v1"
ABOUT = """Calls, lists and messages of this Screendoor, and the calls that go on now.

Every request bears a token: `Authorization: Bearer …`. Every error is `application/problem+json` (RFC 9457).
"""


class AsciiJson(JSONResponse):
    """JSON escaped to ASCII: a name from the wire may hold lone surrogates, which UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def build_api(backend: Backend) -> ASGIApp:
    """Build the application; its OpenAPI document is served at ``openapi.json`` without a token."""
    app = _application()
    app.state.backend = backend
    problem.install(app)

    @app.exception_handler(BackendUnavailable)
    async def away(request: Request, error: BackendUnavailable) -> Response:
        return Problem(503, str(error), {"Retry-After": "5"}).response()

    @app.exception_handler(InvalidRequest)
    async def wrong(request: Request, error: InvalidRequest) -> Response:
        fault = {"at": "request", "why": str(error)[:200]}
        return Problem(422, "the request is not as it should be", errors=[fault]).response()

    return Limits(app)


def describe() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return dict(_application().openapi())


def _application() -> FastAPI:
    app = FastAPI(
        title="Screendoor",
        version=VERSION,
        description=ABOUT,
        docs_url=None,  # its pages load scripts from elsewhere, which would see the token
        redoc_url=None,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        default_response_class=AsciiJson,
        separate_input_output_schemas=False,
    )
    routers = (live, events, calls, lists, voicemails, callers, costs)
    for each in routers:  # live first: else "live" would be taken for a call's id
        app.include_router(each.router)
    made = app.openapi()
    schemas = made["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)  # FastAPI's own error format, which we do not use
    schemas.pop("ValidationError", None)
    shape = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(shape.pop("$defs"))
    schemas["ProblemDetails"] = shape
    app.openapi_schema = made
    return app
