"""Events in calls, as server-sent events (HTML living standard §9.2)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy.web.api.access import Token
from proxy.web.api.auth import reader
from proxy.web.api.backend import Event, Live, backend_of
from proxy.web.api.problem import responses

HEARTBEAT_S = 15.0
"""The longest pause between lines: a client that hears nothing for longer should reconnect."""
RETRY_MS = 3000

router = APIRouter(tags=["live"])


@router.get(
    "/events",
    summary="Events in calls, as they happen",
    responses={
        200: {
            "description": "a stream that does not end",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **responses(401, 422, 429, 503),
    },
    response_class=Response,
)
async def events(
    request: Request,
    token: Annotated[Token, Depends(reader)],
    call: Annotated[str | None, Query(min_length=1, max_length=64, description="only this call")] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Each event has an `id`, JSON data, and a name.

    Names are `began`, `step`, `leg`, `line`, `decision`, `settled` and `over`. With `Last-Event-ID` the
    stream starts with what you missed; the event `missed` says that some of it is lost. The event `end` says
    why the stream ends.
    """
    return EventStream(backend_of(request).live, call, last_event_id)


class EventStream(Response):
    """A streaming response. A listener may lag by a bounded number of events before it is cut off."""

    def __init__(self, live: Live, call: str | None, last: str | None) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._live, self._call, self._last = live, call, last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client disconnects or reads too slowly, or we stop."""
        with self._live.listening(self._call) as listener:
            missed = self._missed()  # before any await, so that no event is sent twice
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await self._send(send, f"retry: {RETRY_MS}\n\n" + "".join(missed))
                while not gone.done():
                    nearest = asyncio.ensure_future(listener.next())
                    await asyncio.wait(
                        [nearest, gone], timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    if gone.done() or not nearest.done():
                        nearest.cancel()
                        await asyncio.wait([nearest])
                        if not gone.done():
                            await self._send(send, ": still here\n\n")
                        continue
                    event = nearest.result()
                    if isinstance(event, str):
                        await self._send(send, _line("end", {"why": event}))
                        break
                    await self._send(send, self._told(event))
            finally:
                gone.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _missed(self) -> list[str]:
        if self._last is None:
            return []
        era, _, number = self._last.rpartition("-")
        known = re.fullmatch(r"\d{1,18}", number, re.ASCII) and era == self._live.era
        missed = self._live.since(int(number), self._call) if known else None
        if missed is None:
            return [_line("missed", {"why": "some of what happened meanwhile is not known any more"})]
        return [self._told(event) for event in missed]

    def _told(self, event: Event) -> str:
        told = {"call": event.call, "at": event.at.isoformat(timespec="milliseconds"), **event.details}
        return f"id: {self._live.era}-{event.number}\n" + _line(event.name, told)

    @staticmethod
    async def _send(send: Send, text: str) -> None:
        await send({"type": "http.response.body", "body": text.encode("ascii"), "more_body": True})


def _line(name: str, told: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
