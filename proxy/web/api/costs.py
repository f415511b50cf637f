"""The cost of calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request

from proxy.web.api.access import Token
from proxy.web.api.auth import reader
from proxy.web.api.backend import archive_of
from proxy.web.api.models import Costs
from proxy.web.api.problem import responses

router = APIRouter(tags=["costs"])


@router.get("/costs", summary="What calls cost today and this month", responses=responses(401, 422, 429, 503))
async def costs(request: Request, token: Annotated[Token, Depends(reader)]) -> Costs:
    """By number, and in total; counts calls that are over and stored."""
    return Costs.model_validate({"items": await archive_of(request).costs()})
