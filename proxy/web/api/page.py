"""Pagination by cursor: it names the last row of a page, so that rows added meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from proxy.web.api.problem import Problem

Limit = Annotated[int, Query(ge=1, le=200, description="entries of a page")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=300, description="`next` of the page before; as it was given")
]


def position(cursor: str | None) -> list[Any] | None:
    """Decode a cursor; raises Problem 422 if it is not one of ours."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found and all(isinstance(part, str) and part.isascii() for part in found):
        return found
    raise Problem(422, "the cursor is none of ours", errors=[{"at": "query.cursor", "why": "unknown"}])


def page(
    request: Request, response: Response, rows: Sequence[Mapping[str, Any]], limit: int, keys: Sequence[str]
) -> dict[str, Any]:
    """Make a page of at most `limit` rows; if `rows` has one more, there is another page."""
    items, follows = rows[:limit], None
    if len(rows) > limit:
        follows = _cursor([_text(items[-1][key]) for key in keys])
        url = request.url.include_query_params(cursor=follows)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return {"items": items, "next": follows}


def _text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _cursor(parts: list[str]) -> str:
    return base64.b64encode(json.dumps(parts).encode(), altchars=b"-_").decode("ascii")
