"""The calls in progress, and what the user may do with them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request

from proxy.web.api.access import Token
from proxy.web.api.auth import reader, writer
from proxy.web.api.backend import NotPossible, backend_of
from proxy.web.api.models import AcceptedCommand, LiveCalls, Question
from proxy.web.api.problem import Problem, responses

CallName = Annotated[str, Path(min_length=1, max_length=64, description="the name of a call")]
Writer = Annotated[Token, Depends(writer)]

router = APIRouter(tags=["live"])
_PROBLEMS = responses(401, 403, 404, 409, 422, 429)


@router.get("/calls/live", summary="Calls in progress", responses=responses(401, 422, 429))
async def live(request: Request, token: Annotated[Token, Depends(reader)]) -> LiveCalls:
    """The oldest first; a single one, with its transcript so far, is at `/calls/{id}`."""
    return LiveCalls.model_validate({"items": backend_of(request).live.calls()})


@router.post(
    "/calls/{id}/connect", status_code=202, summary="Put the caller through now", responses=_PROBLEMS
)
async def connect(request: Request, id: CallName, token: Writer) -> AcceptedCommand:
    """Overrides the agent; 409 if no agent is talking to the caller, or the decision is already made."""
    return _wish(request, id, "connect", token)


@router.post("/calls/{id}/reject", status_code=202, summary="Have the agent say goodbye", responses=_PROBLEMS)
async def reject(request: Request, id: CallName, token: Writer) -> AcceptedCommand:
    """Overrides the agent: it says one polite sentence, and the call is ended."""
    return _wish(request, id, "reject", token)


@router.post("/calls/{id}/voicemail", status_code=202, summary="Have a message taken", responses=_PROBLEMS)
async def voicemail(request: Request, id: CallName, token: Writer) -> AcceptedCommand:
    """Overrides the agent: it announces the voicemail, and the caller may leave a message."""
    return _wish(request, id, "voicemail", token)


@router.post("/calls/{id}/ask", status_code=202, summary="Have the agent ask something", responses=_PROBLEMS)
async def ask(request: Request, id: CallName, question: Question, token: Writer) -> AcceptedCommand:
    """The agent asks it in its own words; the answer appears in the transcript."""
    return _wish(request, id, "ask", token, question.text)


@router.post("/calls/{id}/hangup", status_code=202, summary="End the call", responses=_PROBLEMS)
async def hang_up(request: Request, id: CallName, token: Writer) -> AcceptedCommand:
    """In whatever state it is, without a word."""
    return _wish(request, id, "hang up", token)


def _wish(request: Request, name: str, wish: str, token: Token, text: str = "") -> AcceptedCommand:
    try:
        backend_of(request).live.wish(name, wish, token.name, text)
    except LookupError:
        raise Problem(404, "no call of this name goes on") from None
    except NotPossible as reason:
        raise Problem(409, str(reason)) from None
    return AcceptedCommand(call=name, wish=wish)


def row_or_404(row: Any, what: str) -> Any:
    """Return the row; raises Problem 404 if there is none."""
    if row is None or row is False:
        raise Problem(404, f"there is no such {what}")
    return row
