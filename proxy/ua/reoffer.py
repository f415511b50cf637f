"""Offers after the first: re-INVITE and UPDATE, in both directions (RFC 3261 §14, RFC 3311)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.sip.message import Request
from proxy.sip.session import RETRY_AFTER_RANGE, Negotiation, OfferPending
from proxy.ua.errors import LegEnded, OfferRefused, Rejected, TransactionTimeout, without_traceback
from proxy.ua.in_dialog_client import Final, InDialogRequest, accepted
from proxy.ua.initial_offer import InitialOffer
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction
from proxy.ua.uas import Answer

if TYPE_CHECKING:
    from proxy.ua.leg import Leg

Outcome = asyncio.Future[SipError | None]
"""The result of our offer: None once its answer is in force, else the error."""


class Reoffers:
    """Later offers and answers of one leg; glare gets 491 and is retried (§14.1)."""

    def __init__(self, leg: Leg, *, owns_call_id: bool, initial_offer: InitialOffer | None = None) -> None:
        """`initial_offer`: the first offer and answer, if the peer began the leg."""
        self._leg, self._initial_offer = leg, initial_offer
        self._negotiation = Negotiation(owns_call_id)
        self.answer: Answer | None = None
        """Our last 2xx to a re-INVITE."""
        self._request: InDialogRequest | None = None
        self._outcome: Outcome | None = None
        self._open_request: ServerTransaction | None = None
        """The request with the peer's offer, until our media can answer it."""

    async def offer(self, describe: Callable[[], bytes], *, glare_s: float = inf) -> None:
        """Send a re-INVITE with what `describe` returns by then; retry after 491, for `glare_s` seconds.

        Waits for the ACK of our own last 2xx, and for the outcome of an earlier offer of ours. Raises
        Rejected, TransportFailed, TransactionTimeout, OfferRefused, LegEnded, or OfferPending while an offer
        of the peer is open. A 408 or 481 ends the leg (§12.2.1.2).
        """
        until = asyncio.get_running_loop().time() + glare_s
        while True:
            await self._wait_until_allowed()
            try:
                return await self._offer_once(describe)
            except Rejected as refusal:
                if refusal.status == 422 and self._leg.keeper.accepts_interval(refusal.response):
                    continue  # RFC 4028 §7.3: retry at once with the peer's interval
                if refusal.status != 491 or asyncio.get_running_loop().time() >= until:
                    raise
            await asyncio.sleep(self.glare_s())

    async def _wait_until_allowed(self) -> None:
        """Wait until a re-INVITE is allowed: no 2xx of ours without ACK, no open offer of ours (§14.1)."""
        while True:
            if (answer := self._leg.unacknowledged) is not None:
                await answer.settled()
            elif self._outcome is not None:
                await asyncio.wait([self._outcome])
            else:
                return

    def glare_s(self) -> float:
        """Random wait after a 491, from the range that §14.1 gives our side, in seconds."""
        return self._leg.core.ids.uniform(*self._negotiation.retry_range)

    def withdraw(self, reason: EndReason) -> None:
        """CANCEL our offer if it is not answered yet; whoever waits gets the outcome."""
        if self._request is not None:
            self._request.withdraw(reason.header)

    def stop(self, reason: EndReason) -> None:
        """The leg has ended."""
        self.refuse(487)  # §15.1.2
        if self.answer is not None:
            self.answer.stop()
        self.withdraw(reason)
        if self._outcome is not None:
            self._set_outcome(self._outcome, LegEnded(self._leg, reason))

    def initial_offer_done(self) -> None:
        """The first offer and answer are complete."""
        self._initial_offer = None

    # Our offers.

    async def _offer_once(self, describe: Callable[[], bytes]) -> None:
        dialog = self._leg.live_dialog()
        self._negotiation.offer()
        try:
            sdp = describe()
        except OfferRefused:
            self._negotiation.refused()
            raise
        request = dialog.request("INVITE")
        for name, value in [*self._leg.capabilities(), *self._leg.keeper.headers()]:
            if name not in request.headers:
                request.headers.add(name, value)
        request.headers.add("Content-Type", "application/sdp")
        request.body = sdp
        outcome: Outcome = asyncio.get_running_loop().create_future()
        self._outcome = outcome
        self._request = InDialogRequest(self._leg, dialog, request, partial(self._concluded, outcome))
        self._request.start()
        error: SipError | None = None
        try:
            if (error := await asyncio.shield(outcome)) is not None:  # another offer may wait for it as well
                raise error
        finally:
            del outcome, error  # a raised error keeps this frame alive through its traceback

    def _concluded(self, outcome: Outcome, final: Final) -> None:
        """Our re-INVITE has its final response, whether or not anyone still waits for it."""
        self._request = None
        self._negotiation.answered()
        error = self._apply(final)
        self._set_outcome(outcome, error)
        if isinstance(error, (Rejected, TransactionTimeout)) and error.status in (408, 481):
            self._leg.lost(EndReason.UNREACHABLE)

    def _apply(self, final: Final) -> SipError | None:
        if self._leg.ended.done():
            return LegEnded(self._leg, self._leg.ended.result())
        try:
            response = accepted(final)
            self._leg.keeper.answered(response)
            self._leg.media.answered(response.body)
        except SipError as error:
            return without_traceback(error)
        return None

    def _set_outcome(self, outcome: Outcome, end: SipError | None) -> None:
        """Set the outcome for whoever waits, and forget the offer."""
        self._outcome = None
        if not outcome.done():
            outcome.set_result(end)

    # The peer's offers.

    def receive(self, transaction: ServerTransaction) -> None:
        """Handle the peer's re-INVITE or UPDATE, or an offer in its PRACK.

        Answered at once by the leg's media, or by `reply` once the media can. Raises ParseError.
        """
        request, keeper = transaction.request, self._leg.keeper
        if (min_se := keeper.too_small(request)) is not None:
            return transaction.reply(422, min_se)
        if request.method == "UPDATE" and not request.body:  # a session refresh alone (RFC 4028 §7.4)
            return transaction.reply(200, self._refreshed(transaction))
        if (owed := self._refusal_status(request)) is not None:
            return self._refuse(transaction, owed)
        try:
            sdp = self._leg.media.accept(request.body) if request.body else self._leg.media.offer()
        except OfferRefused as refusal:
            self._negotiation.refused()
            host = self._leg.core.advertised.host
            return transaction.reply(refusal.status, list(refusal.warning_headers(host)))
        if sdp:
            return self._answered(transaction, sdp)
        self._open_request = transaction
        if request.method == "INVITE":
            transaction.reply(100)
        else:
            transaction.defer()

    def reply(self, sdp: bytes) -> None:
        """Answer the peer's offer that was left open."""
        if self._open_request is not None:
            transaction, self._open_request = self._open_request, None
            self._answered(transaction, sdp)

    def refuse(self, status: int) -> None:
        """Refuse the peer's offer that was left open."""
        if self._open_request is not None:
            transaction, self._open_request = self._open_request, None
            self._negotiation.refused()
            transaction.reply(status)

    def _answered(self, transaction: ServerTransaction, sdp: bytes) -> None:
        request = transaction.request
        if request.body:
            self._negotiation.answered()
        if request.method == "PRACK":
            return transaction.reply(200, body=sdp)
        headers = [*self._refreshed(transaction), *self._leg.capabilities()]
        if request.method == "UPDATE":
            return transaction.reply(200, headers, sdp)
        self._accept(transaction, headers, sdp)

    def _refusal_status(self, request: Request) -> int | None:
        """The status that refuses this offer for now, or None."""
        if self._leg.early and request.method == "INVITE":  # §14.2: the first INVITE is not answered yet
            return 500
        if self._leg.offered is not self:  # the offer in the peer's 2xx has no answer yet
            return 500
        if (first := self._initial_offer) is not None and first.refusal_status is not None:
            return first.refusal_status  # RFC 5407 §3.1.5
        if request.method == "INVITE" and self.answer is not None and self.answer.awaiting_ack:
            return 491
        if request.body:
            return self._negotiation.offered()
        try:
            self._negotiation.offer()
        except OfferPending:
            return 491
        return None

    def _accept(self, transaction: ServerTransaction, headers: list[tuple[str, str]], sdp: bytes) -> None:
        then = None if transaction.request.body else self._answered_in_ack
        self.answer = Answer(self._leg, transaction, transaction.make(200, headers, sdp), then)
        self.answer.start()

    def _answered_in_ack(self, ack: Request | None) -> None:
        """The re-INVITE had no offer and our 200 made one: the answer is in the ACK (§14.2)."""
        self._negotiation.answered()
        if ack is None:
            return
        try:
            self._leg.media.answered(ack.body)
        except OfferRefused as refusal:
            self._leg.log.warning("answer in ACK not usable", reason=str(refusal))

    def _refuse(self, transaction: ServerTransaction, status: int) -> None:
        wait_s = round(self._leg.core.ids.uniform(*RETRY_AFTER_RANGE))
        transaction.reply(status, [("Retry-After", str(wait_s))] if status == 500 else [])

    def _refreshed(self, transaction: ServerTransaction) -> list[tuple[str, str]]:
        """Headers for our 2xx to a request that refreshes target and session; applies both."""
        leg, request = self._leg, transaction.request
        assert leg.dialog is not None
        leg.dialog.accepted(request)
        return [("Contact", leg.contact(transaction.flow)), *leg.keeper.refreshed(request)]
