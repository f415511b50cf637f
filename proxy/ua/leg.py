"""One dialog seen from our side, awaitable: what the peer does is latched, what we do is a verb."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from proxy.sip.dialog import Dialog
from proxy.sip.digest import DigestClient
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.core import ALLOW, SUPPORTED, UserAgentCore
from proxy.ua.errors import OfferRefused
from proxy.ua.in_dialog import InDialogRequest
from proxy.ua.reason import EndReason
from proxy.ua.refer import Refer
from proxy.ua.reoffer import Reoffers
from proxy.ua.session_keeper import SessionKeeper
from proxy.ua.transactions import ServerTransaction
from proxy.ua.uac import Inviting, Outgoing
from proxy.ua.uas import Answer, Invitation
from proxy.ua.up import Up

log = structlog.get_logger("screendoor")


class LegMedia(Protocol):
    """Whoever describes the media of one leg; raises OfferRefused."""

    def offer(self) -> bytes: ...
    def answered(self, sdp: bytes) -> None: ...
    def accept(self, sdp: bytes) -> bytes: ...


class Leg:
    """One dialog from our side. `name` is ``caller``, ``agent`` or ``phone``."""

    def __init__(self, name: str, core: UserAgentCore, media: LegMedia, *, takes_refer: bool = False) -> None:
        self.name, self.core, self.media = name, core, media
        self.log = log.bind(leg=name)
        self.ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        """Latched: set once, by the peer or by `end()`."""
        self.ringing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The first provisional status above 100 from a peer that we call."""
        self.flow: Flow
        self.dialog: Dialog | None = None
        self.credentials: DigestClient | None = None
        self._contact_user = core.ids.token()
        self._takes_refer = takes_refer
        self._inviting: Inviting | None = None
        self._invitation: Invitation | None = None
        self._answer: Answer | None = None
        self._sdp_answer: bytes | None = None
        self._refers: asyncio.Queue[Refer] = asyncio.Queue()
        self._refer: Refer | None = None
        self.keeper = SessionKeeper(self)
        self.reoffers = Reoffers(self, owns_call_id=True)
        self._hung_up = False

    # The call's verbs.

    def up(self) -> Up:
        """``async with leg.up():`` raises LegEnded inside the block when the leg ends."""
        return Up(self)

    def invited(self, transaction: ServerTransaction) -> None:
        """Take the INVITE that begins this leg (we are the UAS)."""
        self.flow = transaction.flow
        self._invitation = Invitation(self, transaction)
        self.reoffers = Reoffers(self, owns_call_id=False)
        if (too_small := self.keeper.consider(transaction.request)) is not None:
            self._invitation.refuse(422, too_small)
            self.gone(EndReason.SESSION_EXPIRED)

    def trying(self) -> None:
        self.invitation.trying()

    def progress(self, status: int) -> None:
        if self.invitation.open:
            self.invitation.progress(status)

    def consider(self) -> None:
        """Take the caller's offer, or make our own if the INVITE has none; raises OfferRefused."""
        body = self.invitation.request.body
        self._sdp_answer = self.media.accept(body) if body else self.media.offer()

    async def answer(self) -> None:
        """200 with the description of `consider()`; returns when it is acknowledged."""
        if self._sdp_answer is None:
            self.consider()
        assert self._sdp_answer is not None
        self._answer = self.invitation.accept(self._sdp_answer, self.keeper.answering())
        ack = await self._answer.acked
        if not self.invitation.request.body:
            self.media.answered(ack.body)

    async def invite(self, outgoing: Outgoing) -> None:
        """Call the peer; returns when it has answered. Raises Rejected, TransportFailed, TransactionTimeout
        or OfferRefused (an answer that cannot be used: the leg is then ended with a BYE).
        """
        self._inviting = Inviting(self, outgoing)
        response = await self._inviting.run(self.media.offer())
        try:
            self.media.answered(response.body)
        except OfferRefused:
            self.end(EndReason.MEDIA_REFUSED)
            raise

    async def offer(self) -> None:
        """Re-INVITE the peer with what the media now offers (§14.1); raises Rejected and the rest."""
        await self.reoffers.offer()

    async def refer(self) -> Refer:
        """The peer's next REFER; not lost if this wait is cancelled."""
        return await self._refers.get()

    def refer_waiting(self) -> Refer | None:
        """A REFER that came before the leg ended, if any."""
        return None if self._refers.empty() else self._refers.get_nowait()

    def end(self, reason: EndReason, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """End the leg from our side: BYE, CANCEL or a final response (§15, §9.1).

        Returns at once; the core sees the transaction through. Calling it again does nothing.
        """
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self._stop()
        if self._invitation is not None and self._invitation.open:
            self._invitation.refuse(reason.status, [*headers, ("Reason", reason.header)])
            self._leave()
        elif self._confirmed:
            self._bye(reason)
        elif self._inviting is not None:
            self._inviting.end(reason)

    # What the parts of the leg tell it.

    @property
    def invitation(self) -> Invitation:
        assert self._invitation is not None
        return self._invitation

    def rang(self, status: int) -> None:
        if not self.ringing.done():
            self.ringing.set_result(status)

    def established(self, dialog: Dialog, credentials: DigestClient | None) -> None:
        """The dialog stands (early or confirmed): its requests come here from now on."""
        self.dialog, self.credentials = dialog, credentials
        self.core.enter(dialog.id, self)

    def gone(self, reason: EndReason) -> None:
        """The peer ended the leg."""
        if not self.ended.done():
            self.ended.set_result(reason)
        self._stop()
        self._leave()

    def lost(self, reason: EndReason) -> None:
        """The peer is not heard of any more: end it from our side, and say so to whoever waits."""
        if not self.ended.done():
            self.ended.set_result(reason)
            self._stop()
            if self._confirmed:
                self._bye(reason)
            else:
                self._leave()

    def contact(self, flow: Flow) -> str:
        return self.core.contact(flow, self._contact_user)

    def capabilities(self) -> list[tuple[str, str]]:
        methods = [method for method in ALLOW.split(", ") if method != "REFER" or self._takes_refer]
        return [("Allow", ", ".join(methods)), ("Supported", ", ".join(SUPPORTED))]

    # What the peer sends.

    def acknowledged(self, ack: Request) -> None:
        for answer in (self._answer, self.reoffers.answer):
            if answer is not None:
                answer.acknowledged(ack)

    def receive(self, transaction: ServerTransaction) -> None:
        """One in-dialog request (§12.2.2), on whatever flow it came."""
        assert self.dialog is not None
        request = transaction.request
        if self.flow.closed:
            self.flow = transaction.flow
        try:
            self.dialog.receive(request)
            self._dispatch(transaction)
        except ParseError as error:
            transaction.reply(error.status)

    def _dispatch(self, transaction: ServerTransaction) -> None:
        match transaction.request.method:
            case "BYE":
                transaction.reply(200)
                if self._invitation is not None:
                    self._invitation.refuse(487, [])  # §15.1.2: a BYE before our final response
                self.gone(EndReason.HUNG_UP)
            case _ if self._hung_up:
                transaction.reply(481)  # our BYE is on its way
            case "INVITE" | "UPDATE":
                self.reoffers.receive(transaction)
            case "REFER":
                self._referred(transaction)
            case "OPTIONS":
                transaction.reply(200, self.capabilities())
            case "NOTIFY":
                transaction.reply(481)  # RFC 6665 §4.1.3: we subscribed to nothing
            case _:
                transaction.reply(405, self.capabilities()[:1])

    def _referred(self, transaction: ServerTransaction) -> None:
        """REFER is the agent's alone; one at a time, since a retry by its sender is no second wish."""
        if not self._takes_refer:
            return transaction.reply(603)
        if self._refer is not None and self._refer.open:
            return transaction.reply(491)
        self._refer = Refer(self, transaction, first=self._refer is None)
        self._refers.put_nowait(self._refer)

    # How it ends.

    @property
    def _confirmed(self) -> bool:
        return self.dialog is not None and (self._invitation is None or not self._invitation.open)

    def _bye(self, reason: EndReason) -> None:
        self._hung_up = True
        assert self.dialog is not None
        bye = self.dialog.request("BYE")
        bye.headers.add("Reason", reason.header)
        InDialogRequest(self, bye, lambda final: self._leave()).start()

    def _stop(self) -> None:
        self.keeper.stop()
        for answer in (self._answer, self.reoffers.answer):
            if answer is not None:
                answer.stop()

    def _leave(self) -> None:
        if self.dialog is not None:
            self.core.leave(self.dialog.id)

