"""The calls that are going on: started for each INVITE that is accepted, and drained at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from proxy.call.call import Call
from proxy.call.capacity import Capacity, Quota
from proxy.call.context import CallContext
from proxy.call.loop_detection import may_be_forwarded_back
from proxy.call.record import CallRecord
from proxy.call.routing import EmergencyCalled, Number, Routing
from proxy.media.interface import MediaSession
from proxy.sip.message import Request
from proxy.ua.ids import Ids
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction

log = structlog.get_logger("screendoor")


class Registry:
    """Starts a call for every INVITE that is accepted, and keeps it until it is over."""

    def __init__(
        self,
        context: CallContext,
        routing: Routing,
        ids: Ids,
        *,
        media: Callable[[Number], MediaSession],
        began: Callable[[CallRecord], None] = lambda record: None,
        finished: Callable[[CallRecord], None],
        max_calls: int = 500,
        capacity: Capacity | None = None,
    ) -> None:
        """`max_calls`: the limit to calls at once; `capacity` enforces the other limits.

        `began` and `finished` are called with each call's record.
        """
        self._context, self._routing, self._ids = context, routing, ids
        self._media, self._began, self._finished, self._max_calls = media, began, finished, max_calls
        self._capacity = capacity or Capacity(lambda: 0.0, ids.uniform)
        self._calls: dict[Call, asyncio.Task[None]] = {}
        self.draining = False

    def __len__(self) -> int:
        return len(self._calls)

    def going_on(self) -> list[Call]:
        """The calls that are not over, the oldest first."""
        return list(self._calls)

    def invited(self, invite: ServerTransaction) -> None:
        """Answer an INVITE outside any dialog, from a peer of ours, with 404, 486 or 503, or start a call."""
        try:
            trust = self._context.trust_of(invite.flow)
            number = self._routing.find(invite.request, trusted=trust.trusted)
        except EmergencyCalled:
            # Not a 6xx: the sender may still have another route. See docs/security.md.
            log.warning("emergency call refused", source=invite.flow.remote[0])
            warning = f'399 {self._context.host} "emergency calls are not taken here, use another line"'
            return invite.reply(404, [("Warning", warning)])
        if self.draining or len(self._calls) >= self._max_calls:
            log.info("turned away", why="draining" if self.draining else "too many calls")
            invite.reply(503, [("Retry-After", str(self._capacity.retry_after_s()))])
        elif number is None:
            log.info("turned away", why="the number is not configured here")
            invite.reply(404)
        elif may_be_forwarded_back(invite.request, number.dialed) and self._is_forwarded_back(invite.request):
            log.info("turned away", why="a phone that we ring has sent our call on, back to us")
            invite.reply(486, [("Reason", EndReason.BUSY.header)])
        elif (wait_s := self._capacity.refuses(number.dialed)) is not None:
            invite.reply(503, [("Retry-After", str(wait_s))])
        else:
            call = Call(self._context, self._ids.token(), number, self._media(number), invite.request, trust)
            quotas = self._capacity.enter(invite.flow, number.dialed)  # last: what fails is not counted
            story = self._run(call, quotas, call.run(invite))
            task = asyncio.get_running_loop().create_task(story, name=call.record.call)
            self._calls[call] = task
            self._began(call.record)

    async def drain(self, limit_s: float) -> None:
        """Take no more calls, let those going on finish, and end the rest after `limit_s`."""
        self.draining = self._context.core.draining = True
        if self._calls:
            log.info("draining", calls=len(self._calls), limit_s=limit_s)
            await asyncio.wait(self._calls.values(), timeout=limit_s)
        for call in self.going_on():
            call.end(EndReason.DRAINING)
        if self._calls:
            await asyncio.wait(self._calls.values())

    def _is_forwarded_back(self, invite: Request) -> bool:
        return any(call.is_forwarded_back(invite) for call in self._calls)

    async def _run(
        self, call: Call, quotas: tuple[Quota, ...], story: Coroutine[None, None, CallRecord]
    ) -> None:
        """Run one call to its end, then free its capacity and hand its record on."""
        try:
            await story
        except Exception as bug:
            # A bug ends only its own call, whose legs have been ended on the way here.
            log.error("call failed", call=call.record.call, exc_info=bug)
        finally:
            del self._calls[call]
            self._capacity.leave(quotas)
        try:
            self._finished(call.record)
        except Exception:
            log.exception("record not kept", call=call.record.call)
