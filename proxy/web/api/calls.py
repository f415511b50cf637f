"""Past calls, and those in progress."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from proxy.web.api.access import Token
from proxy.web.api.auth import reader
from proxy.web.api.backend import CallFilter, archive_of, backend_of
from proxy.web.api.live import CallName, row_or_404
from proxy.web.api.models import Calls, CallStory, Number, ShortName, Time, Trace
from proxy.web.api.page import Cursor, Limit, page, position
from proxy.web.api.problem import responses

router = APIRouter(tags=["calls"])
Reader = Annotated[Token, Depends(reader)]
PCAPNG = "application/x-pcapng"
_CAPTURE = {PCAPNG: {"schema": {"type": "string", "format": "binary"}}}


@router.get("/calls", summary="Calls, the latest first", responses=responses(401, 422, 429, 503))
async def calls(
    request: Request,
    response: Response,
    token: Reader,
    since: Annotated[Time | None, Query(description="begun then or later, as 2026-11-22T00:00Z")] = None,
    until: Annotated[Time | None, Query(description="begun before")] = None,
    caller: Annotated[Number | None, Query(description="of this number")] = None,
    dialed: Annotated[Number | None, Query(description="calls to this number of ours")] = None,
    result: Annotated[ShortName | None, Query(description="what became of the caller, as `bridged`")] = None,
    decision: Annotated[ShortName | None, Query(description="ALLOW, REJECT or VOICEMAIL")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Calls:
    """Includes calls in progress. `next`, and the `Link` header, lead to the page after this one."""
    wanted = CallFilter(since, until, caller, dialed, result, decision)
    rows = await archive_of(request).calls(wanted, position(cursor), limit + 1)
    return Calls.model_validate(page(request, response, rows, limit, ("began", "id")))


@router.get(
    "/calls/{id}", summary="One call: story, transcript, reason", responses=responses(401, 404, 422, 429, 503)
)
async def call(request: Request, id: CallName, token: Reader) -> CallStory:
    """For a call in progress: the story so far."""
    row = backend_of(request).live.call(id) or await archive_of(request).call(id)
    return CallStory.model_validate(row_or_404(row, "call"))


@router.get(
    "/calls/{id}/trace", summary="The SIP messages of a call", responses=responses(401, 404, 422, 429, 503)
)
async def trace(request: Request, id: CallName, token: Reader) -> Trace:
    """Captured with `sip = "on"` in `[memory]`; 404 if there is none. For a call in progress: those so far.

    Complete half a minute after the call.
    """
    found = backend_of(request).live.trace(id) or await archive_of(request).trace(id)
    return Trace.model_validate({"items": row_or_404(found or None, "trace")})


@router.get(
    "/calls/{id}/trace.pcapng",
    summary="The SIP messages of a call as a capture file",
    response_class=Response,
    responses={
        200: {"description": "a pcapng file", "content": _CAPTURE},
        **responses(401, 404, 422, 429, 503),
    },
)
async def capture(request: Request, id: CallName, token: Reader) -> Response:
    """For Wireshark, sngrep and tcpdump; each message is a UDP packet that names its leg in a comment."""
    found = await backend_of(request).live.capture(id) or await archive_of(request).capture(id)
    octets = row_or_404(found or None, "trace")
    name = {"Content-Disposition": f'attachment; filename="{id}.pcapng"'}
    return Response(octets, media_type=PCAPNG, headers=name)
