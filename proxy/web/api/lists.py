"""The lists of callers: allowed, blocked, VIPs, expected, and contacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from proxy.web.api.access import Token
from proxy.web.api.auth import reader, writer
from proxy.web.api.backend import archive_of
from proxy.web.api.live import row_or_404
from proxy.web.api.models import Entries, Entry, Imported, ListName, NewEntry, Number
from proxy.web.api.page import Cursor, Limit, page, position
from proxy.web.api.problem import Problem, responses

router = APIRouter(tags=["lists"])
Reader = Annotated[Token, Depends(reader)]
Writer = Annotated[Token, Depends(writer)]
EntryId = Annotated[int, Path(ge=1, le=2**63 - 1)]
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string"}}
            for kind in ("text/csv", "text/vcard", "application/octet-stream")
        },
    }
}


@router.get("/lists/{name}", summary="The entries of a list", responses=responses(401, 422, 429, 503))
async def entries(
    request: Request,
    response: Response,
    name: ListName,
    token: Reader,
    number: Annotated[Number | None, Query(description="only entries with this number")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Entries:
    """The latest first. Entries of the settings file are not included."""
    rows = await archive_of(request).entries(name, number, position(cursor), limit + 1)
    return Entries.model_validate(page(request, response, rows, limit, ("id",)))


@router.post(
    "/lists/{name}",
    status_code=201,
    summary="Put a number on a list",
    responses={
        200: {"model": Entry, "description": "it existed, and was updated"},
        **responses(401, 403, 422, 429, 503),
    },
)
async def add(request: Request, response: Response, name: ListName, entry: NewEntry, token: Writer) -> Entry:
    """Takes effect with the next call. Numbers are written as in `[screening]`: whole, or with wildcards."""
    return await _put(request, response, name, entry, None)


@router.get("/lists/{name}/{id}", summary="One entry", responses=responses(401, 404, 422, 429, 503))
async def entry(request: Request, name: ListName, id: EntryId, token: Reader) -> Entry:
    """One entry of a list."""
    return Entry.model_validate(row_or_404(await archive_of(request).entry(name, id), "entry"))


@router.put(
    "/lists/{name}/{id}", summary="Change an entry", responses=responses(401, 403, 404, 422, 429, 503)
)
async def change(
    request: Request, response: Response, name: ListName, id: EntryId, entry: NewEntry, token: Writer
) -> Entry:
    """Replaces the entry: fields that are not given are cleared."""
    return await _put(request, response, name, entry, id)


@router.delete(
    "/lists/{name}/{id}",
    status_code=204,
    summary="Take an entry off a list",
    responses=responses(401, 403, 404, 422, 429, 503),
)
async def remove(request: Request, name: ListName, id: EntryId, token: Writer) -> None:
    """Takes effect with the next call."""
    row_or_404(await archive_of(request).remove(name, id), "entry")


@router.post(
    "/lists/contacts/import",
    summary="Import the contacts of a CSV or vCard file",
    responses=responses(401, 403, 408, 413, 422, 429, 503),
    openapi_extra=_FILE,
)
async def imported(request: Request, token: Writer) -> Imported:
    """The request body is the file itself. Invalid rows are left out, and listed."""
    return Imported.model_validate(await archive_of(request).imported(await request.body()))


async def _put(
    request: Request, response: Response, name: ListName, entry: NewEntry, number: int | None
) -> Entry:
    try:
        row, new = await archive_of(request).put(name, entry.model_dump(), number)
    except LookupError:
        raise Problem(404, "there is no such entry") from None
    if new:
        response.headers["Location"] = f"{request.url.path}/{row['id']}"
    else:
        response.status_code = 200
    return Entry.model_validate(row)
