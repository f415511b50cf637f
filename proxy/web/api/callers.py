"""One caller: export and deletion of their data, and a dry run of the screening policy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from proxy.web.api.access import Token
from proxy.web.api.auth import reader, writer
from proxy.web.api.backend import archive_of, backend_of
from proxy.web.api.models import Forgotten, Number, Trial, Tried
from proxy.web.api.problem import responses

router = APIRouter(tags=["callers"])
CallerNumber = Annotated[Number, Path(description="as +14155550100; the plus may be left out")]


@router.get(
    "/callers/{number}/export",
    summary="Export everything stored about a caller",
    response_model=dict[str, Any],
    responses=responses(401, 422, 429, 503),
)
async def export(
    request: Request, number: CallerNumber, token: Annotated[Token, Depends(reader)]
) -> Response:
    """Calls with transcripts, messages and list entries, as data protection law entitles the caller to."""
    told = await archive_of(request).export(number)
    return Response(await asyncio.to_thread(_encoded, told), media_type="application/json")


@router.delete("/callers/{number}", summary="Forget a caller", responses=responses(401, 403, 422, 429, 503))
async def forget(
    request: Request, number: CallerNumber, token: Annotated[Token, Depends(writer)]
) -> Forgotten:
    """Deletes calls, transcripts, messages and their files permanently; list entries stay."""
    return Forgotten.model_validate(await archive_of(request).forget(number))


@router.post(
    "/try", summary="What would be done with a caller now, and why", responses=responses(401, 422, 429)
)
async def tried(request: Request, trial: Trial, token: Annotated[Token, Depends(reader)]) -> Tried:
    """A dry run without a call: each rule in the order in which they are applied."""
    return Tried.model_validate(await backend_of(request).trials.tried(trial.model_dump()))


def _encoded(told: Mapping[str, Any]) -> bytes:
    """Encode as JSON in pieces: with thousands of calls, other threads get the GIL in between."""
    return (
        "{" + ",".join(f"{json.dumps(name)}:{_piece(value)}" for name, value in told.items()) + "}"
    ).encode()


def _piece(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(json.dumps(each, allow_nan=False) for each in value) + "]"
    return json.dumps(value, allow_nan=False)
