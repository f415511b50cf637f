"""One caller: all that is kept of him, deleting it, and what would be done with him now."""

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
from proxy.web.api.backend import archive_of, house_of
from proxy.web.api.models import Forgotten, Number, Trial, Tried
from proxy.web.api.problem import responses

router = APIRouter(tags=["callers"])
CallerNumber = Annotated[Number, Path(description="as +14155550100; the plus may be left out")]


@router.get(
    "/callers/{number}/export",
    summary="All that is kept of a caller",
    response_model=dict[str, Any],
    responses=responses(401, 422, 429, 503),
)
async def export(
    request: Request, number: CallerNumber, token: Annotated[Token, Depends(reader)]
) -> Response:
    """Calls with their transcripts, messages, entries of lists; as he may ask for by law."""
    told = await archive_of(request).export(number)
    return Response(await asyncio.to_thread(_encoded, told), media_type="application/json")


@router.delete("/callers/{number}", summary="Forget a caller", responses=responses(401, 403, 422, 429, 503))
async def forget(
    request: Request, number: CallerNumber, token: Annotated[Token, Depends(writer)]
) -> Forgotten:
    """Calls, transcripts, messages and their files are deleted, and not to be had again; lists stay."""
    return Forgotten.model_validate(await archive_of(request).forget(number))


@router.post(
    "/try", summary="What would be done with a caller now, and why", responses=responses(401, 422, 429)
)
async def tried(request: Request, trial: Trial, token: Annotated[Token, Depends(reader)]) -> Tried:
    """Without a call: each rule in the order in which they are asked."""
    return Tried.model_validate(await house_of(request).trials.tried(trial.model_dump()))


def _encoded(told: Mapping[str, Any]) -> bytes:
    """As JSON, piece by piece: there may be thousands of calls, and others get the processor in between."""
    return (
        "{" + ",".join(f"{json.dumps(name)}:{_piece(value)}" for name, value in told.items()) + "}"
    ).encode()


def _piece(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(json.dumps(each, allow_nan=False) for each in value) + "]"
    return json.dumps(value, allow_nan=False)
