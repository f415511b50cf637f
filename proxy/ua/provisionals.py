"""Reliable provisional responses that we send (RFC 3262)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.sip.message import Response
from proxy.sip.session import RAck, ReliableProvisionals
from proxy.ua.driver import Driver, Message
from proxy.ua.errors import OfferRefused
from proxy.ua.initial_offer import InitialOffer
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class Provisionals(Driver):
    """Sends them one at a time, each until its PRACK; if a PRACK never comes, the leg ends with 504.

    Used only if the INVITE has ``Require: 100rel``.
    """

    _machine: ReliableProvisionals

    def __init__(self, leg: Leg, invite: ServerTransaction, initial_offer: InitialOffer) -> None:
        self._leg, self._invite, self._initial_offer = leg, invite, initial_offer
        self._machine = ReliableProvisionals(leg.core.ids.bits(31) or 1, leg.core.timers)
        self._timer_queue = leg.core.timer_queue
        self._acknowledged = asyncio.Event()
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the INVITE has its final response and no PRACK can follow."""

    def respond(self, response: Response) -> None:
        self.perform(self._machine.respond(response, self._timer_queue.now()))

    async def heard(self) -> None:
        """Wait until every response of ours with SDP is acknowledged (§3), or the leg has ended."""
        while self._machine.has_description and not self._leg.ended.done():
            self._acknowledged.clear()
            await self._acknowledged.wait()

    def final(self) -> None:
        """The INVITE has its final response."""
        self.perform(self._machine.final(self._timer_queue.now()))
        self._acknowledged.set()

    def receive(self, prack: ServerTransaction) -> None:
        """Handle a PRACK: 200 if it is the expected one, with our answer if it has an offer (§3, §5).

        Raises ParseError.
        """
        if not self._machine.acknowledges(RAck.parse(prack.request.headers.get("RAck"))):
            return prack.reply(481)
        self.perform(self._machine.acknowledged(self._timer_queue.now()))
        self._acknowledged.set()
        body = prack.request.body
        if self._initial_offer.awaits_answer or not body or self._leg.ended.done():
            prack.reply(200)
            self._answered(body)
        else:
            self._leg.reoffers.receive(prack)

    def stop(self) -> None:
        """Stop without sending anything more."""
        super().stop()
        self.finished()

    def failed(self, error: SipError) -> None:
        """No PRACK in 64·T1: the INVITE is refused with a 5xx (§3)."""
        self._leg.lost(EndReason.NO_PRACK)

    def _answered(self, sdp: bytes) -> None:
        if self._leg.ended.done():
            return
        try:
            self._initial_offer.answered(sdp)
        except OfferRefused:
            self._leg.end(EndReason.MEDIA_REFUSED)

    def send(self, message: Message) -> None:
        assert isinstance(message, Response)
        self._invite.respond(message)

    def finished(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)
