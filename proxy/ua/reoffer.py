"""Offers after the first: re-INVITE and UPDATE, in both directions (RFC 3261 §14, RFC 3311)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from proxy.sip.message import Request
from proxy.sip.session import RETRY_AFTER_RANGE, Negotiation
from proxy.ua.errors import OfferRefused, Rejected, TransactionTimeout
from proxy.ua.in_dialog import Final, InDialogRequest, accepted
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction
from proxy.ua.uas import Answer

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class Reoffers:
    """The session of one leg after its first offer and answer; glare is 491 and tried again (§14.1)."""

    def __init__(self, leg: Leg, *, owns_call_id: bool) -> None:
        self._leg = leg
        self._negotiation = Negotiation(owns_call_id)
        self.answer: Answer | None = None
        """Our last 2xx to a re-INVITE."""
        self._offered = False

    async def offer(self) -> None:
        """Re-INVITE the peer with what our media now offers.

        Raises Rejected, TransportFailed, TransactionTimeout, OfferRefused, or OfferPending while another
        offer stands open. A 408 or 481 ends the leg (§12.2.1.2).
        """
        while True:
            try:
                return await self._offer_once()
            except Rejected as refusal:
                if refusal.status != 491:
                    raise
            await asyncio.sleep(self._leg.core.ids.uniform(*self._negotiation.retry_range))

    async def _offer_once(self) -> None:
        assert self._leg.dialog is not None
        self._negotiation.offer()
        try:
            request = self._leg.dialog.request("INVITE")
            for name, value in [*self._leg.capabilities(), *self._leg.keeper.headers()]:
                if name not in request.headers:
                    request.headers.add(name, value)
            request.headers.add("Content-Type", "application/sdp")
            request.body = self._leg.media.offer()
            final: asyncio.Future[Final] = asyncio.get_running_loop().create_future()
            InDialogRequest(self._leg, request, partial(_latch, final)).start()
            response = accepted(await final)
            self._leg.dialog.confirm(response)
            self._leg.media.answered(response.body)
            self._leg.keeper.refreshed(response)
        except (Rejected, TransactionTimeout) as refusal:
            if refusal.status in (408, 481):
                self._leg.lost(EndReason.UNREACHABLE)
            raise
        finally:
            self._negotiation.answered()

    def receive(self, transaction: ServerTransaction) -> None:
        """The peer's re-INVITE or UPDATE: answered at once by the leg's media."""
        request = transaction.request
        session_headers = self._leg.keeper.refreshed(request)
        if self._leg.keeper.too_small:
            return transaction.reply(422, session_headers)
        if request.method == "UPDATE" and not request.body:  # a session refresh alone (RFC 4028 §7.4)
            return transaction.reply(200, [*self._contact(transaction), *session_headers])
        if self.answer is not None and not self.answer.acked.done() and request.method == "INVITE":
            return self._refuse(transaction, 491)  # RFC 5407 §3.1.5: our 2xx has no ACK yet
        owed = self._negotiation.offered()
        if owed is not None:
            return self._refuse(transaction, owed)
        try:
            sdp = self._describe(request.body)
        except OfferRefused as refusal:
            self._negotiation.refused()
            return transaction.reply(refusal.status)
        headers = [*self._contact(transaction), *self._leg.capabilities(), *session_headers]
        if request.method == "UPDATE":
            self._negotiation.answered()
            return transaction.reply(200, headers, sdp)
        self._accept(transaction, headers, sdp)

    def _describe(self, offer: bytes) -> bytes:
        self._offered = bool(offer)
        return self._leg.media.accept(offer) if offer else self._leg.media.offer()

    def _accept(self, transaction: ServerTransaction, headers: list[tuple[str, str]], sdp: bytes) -> None:
        self.answer = Answer(self._leg, transaction, transaction.make(200, headers, sdp))
        self.answer.acked.add_done_callback(self._acknowledged)
        self.answer.start()
        if self._offered:
            self._negotiation.answered()

    def _acknowledged(self, acked: asyncio.Future[Request]) -> None:
        """The ACK is in: it carries the answer where the re-INVITE carried no offer."""
        if self._offered or acked.cancelled():
            return
        self._negotiation.answered()
        try:
            self._leg.media.answered(acked.result().body)
        except OfferRefused as refusal:
            self._leg.log.warning("answer in ACK not usable", reason=str(refusal))

    def _refuse(self, transaction: ServerTransaction, status: int) -> None:
        wait_s = round(self._leg.core.ids.uniform(*RETRY_AFTER_RANGE))
        transaction.reply(status, [("Retry-After", str(wait_s))] if status == 500 else [])

    def _contact(self, transaction: ServerTransaction) -> list[tuple[str, str]]:
        return [("Contact", self._leg.contact(transaction.flow))]


def _latch(final: asyncio.Future[Final], end: Final) -> None:
    if not final.done():
        final.set_result(end)
