"""The messages that callers left."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from proxy.web.api.access import Token
from proxy.web.api.auth import reader, writer
from proxy.web.api.backend import archive_of
from proxy.web.api.live import CallName, row_or_404
from proxy.web.api.models import Voicemail, Voicemails
from proxy.web.api.page import Cursor, Limit, page, position
from proxy.web.api.problem import responses

router = APIRouter(tags=["voicemails"])
Reader = Annotated[Token, Depends(reader)]
Writer = Annotated[Token, Depends(writer)]
_PROBLEMS = responses(401, 403, 404, 422, 429, 503)
_SOUND = {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}


@router.get("/voicemails", summary="Messages, the latest first", responses=responses(401, 422, 429, 503))
async def voicemails(
    request: Request,
    response: Response,
    token: Reader,
    heard: Annotated[bool | None, Query(description="only those that were heard, or that were not")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Voicemails:
    """A message has the id of its call."""
    rows = await archive_of(request).voicemails(heard, position(cursor), limit + 1)
    return Voicemails.model_validate(page(request, response, rows, limit, ("left_at", "call")))


@router.get("/voicemails/{id}", summary="One message", responses=responses(401, 404, 422, 429, 503))
async def voicemail(request: Request, id: CallName, token: Reader) -> Voicemail:
    """Includes the transcript, if there is one."""
    return Voicemail.model_validate(row_or_404(await archive_of(request).voicemail(id), "message"))


@router.get(
    "/voicemails/{id}/audio",
    summary="The audio of a message",
    response_class=FileResponse,
    responses={200: {"description": "a WAV file", "content": _SOUND}, **responses(401, 404, 422, 429, 503)},
)
async def audio(request: Request, id: CallName, token: Reader) -> Response:
    """Fetching it does not mark the message as heard."""
    path = row_or_404(await archive_of(request).audio(id), "sound")
    return FileResponse(path, media_type="audio/wav", filename=f"{path.name}")


@router.put("/voicemails/{id}/heard", status_code=204, summary="Mark a message as heard", responses=_PROBLEMS)
async def mark(request: Request, id: CallName, token: Writer) -> None:
    """Idempotent."""
    row_or_404(await archive_of(request).heard(id, True), "message")


@router.delete(
    "/voicemails/{id}/heard", status_code=204, summary="Mark a message as new again", responses=_PROBLEMS
)
async def unmark(request: Request, id: CallName, token: Writer) -> None:
    """Idempotent."""
    row_or_404(await archive_of(request).heard(id, False), "message")


@router.delete(
    "/voicemails/{id}", status_code=204, summary="Delete a message and its audio", responses=_PROBLEMS
)
async def delete(request: Request, id: CallName, token: Writer) -> None:
    """The call itself stays, with its story."""
    row_or_404(await archive_of(request).delete_voicemail(id), "message")
