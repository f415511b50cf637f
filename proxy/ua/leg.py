"""A leg: one dialog from our side. Methods act on the peer; what the peer does is latched and awaited."""

from __future__ import annotations

from math import inf

import structlog

from proxy.sip.dialog import Dialog
from proxy.sip.digest import DigestClient
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.reason import reasons
from proxy.sip.session import INTERVAL, SessionTimer
from proxy.transport.flow import Flow, ip_version
from proxy.ua.capabilities import IN_DIALOG, IN_DIALOG_WITH_AGENT
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.in_dialog_client import Final, InDialogRequest
from proxy.ua.in_dialog_server import serve
from proxy.ua.latch import Latch
from proxy.ua.media import LegMedia
from proxy.ua.outgoing_invite import CurrentFlow, Outgoing
from proxy.ua.reason import EndReason
from proxy.ua.refer import Refer, Refers
from proxy.ua.reoffer import Reoffers
from proxy.ua.route import dialog_flow
from proxy.ua.scope import LegScope
from proxy.ua.session_keeper import SessionKeeper
from proxy.ua.transactions import ServerTransaction
from proxy.ua.uac import ClientInvite
from proxy.ua.uas import Answer, Invitation, take_prack

LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("screendoor")


class Leg:
    """One dialog from our side. `name` is ``caller``, ``agent`` or ``phone``."""

    __slots__ = (
        "__weakref__", "_answer", "_client_invite", "_contact_user", "_invitation", "_keeper", "_log",
        "_out_of_dialog", "_owns_call_id", "_reoffers", "call_ids", "core", "credentials", "current_flow",
        "dialog", "ended", "flow", "keeps_flow", "media", "name", "other_flow", "peer_reason", "profile",
        "refers", "ringing",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        core: UserAgentCore,
        media: LegMedia,
        *,
        takes_refer: bool = False,
        log: structlog.typing.FilteringBoundLogger | None = None,
    ) -> None:
        self.name, self.core, self.media = name, core, media
        self._log = log or LOG
        self.ended: Latch[EndReason] = Latch(core.turn)
        """Latched: set once, by the peer or by `end()`."""
        self.peer_reason: str | None = None
        """The Reason header of the peer's BYE or CANCEL, if that ended the leg."""
        self.ringing: int | None = None
        """The first provisional status above 100 from a peer that we call."""
        self.flow: Flow
        self.call_ids: tuple[str, ...] = ()
        """The Call-IDs the peer knows it by: one, unless the call was made again under another identity."""
        self.dialog: Dialog | None = None
        self.credentials: DigestClient | None = None
        self.profile = ""
        """Name of the TLS profile used with this peer."""
        self.current_flow: CurrentFlow | None = None
        self.other_flow: CurrentFlow | None = None
        self.keeps_flow = False
        """Whether the peer is reachable over its flow alone, like a registered phone (RFC 5626 §5.3)."""
        self._contact_user = core.ids.token()
        self._out_of_dialog, self._owns_call_id = False, True
        self._client_invite: ClientInvite | None = None
        self._invitation: Invitation | None = None
        self._answer: Answer | None = None
        self.refers = Refers() if takes_refer else None
        self._keeper: SessionKeeper | None = None
        self._reoffers: Reoffers | None = None

    @property
    def log(self) -> structlog.typing.FilteringBoundLogger:
        """Bound on use rather than up front, since most legs log one line or none."""
        return self._log.bind(leg=self.name)

    # Called by the call.

    def up(self) -> LegScope:
        """``async with leg.up():`` raises LegEnded inside the block when the leg ends."""
        return LegScope(self)

    def invited(self, transaction: ServerTransaction) -> None:
        """Take the INVITE that begins this leg, as UAS, and send 100. An unacceptable one ends the leg."""
        self.flow = transaction.flow
        self.profile = self.core.tls_profile_of(self.flow)
        self.media.use_ip_version(ip_version(self.flow), self.core.advertised.private_peer(self.flow))
        self._invitation, self._owns_call_id = Invitation(self, transaction), False
        self._invitation.watch()
        request = transaction.request
        self.call_ids = (request.call_id,)
        if self.ended.done():
            return
        try:
            if "record-route" in request.headers.first:
                _ = request.record_routes  # parsed now, since the dialog will need them
            ignored = SessionTimer.ruled_out_by(request)
            timer = None if ignored else SessionTimer.answering(request, wanted=INTERVAL)
        except ParseError as error:
            self._invitation.refuse(error.status)
            return self.ended_by_peer(EndReason.REJECTED)
        if timer is not None:
            if timer.too_small:
                self._invitation.refuse(422, timer.headers)
                return self.ended_by_peer(EndReason.INTERVAL_TOO_SMALL)
            self._keeper = SessionKeeper(self, timer)
        transaction.reply(100)

    def progress(self, status: int, *, early: bool = False) -> None:
        """Send a provisional response above 100, with our SDP if `early`. Raises OfferRefused."""
        if (invitation := self._invitation) is not None and invitation.open:
            invitation.progress(status, early=early)

    def prepare_sdp(self) -> None:
        """Take the caller's offer, or make ours if the INVITE has none. Raises OfferRefused."""
        self.invitation.initial_offer.prepare_sdp()

    async def answer(self) -> None:
        """Send 200 with the SDP from `prepare_sdp()`; return once it is acknowledged.

        Raises LegEnded if the leg ends before that, or if the ACK brings an unusable answer.
        """
        self._check_up()
        invitation = self.invitation
        if invitation.provisionals is not None:  # RFC 3262 §3: no 2xx before they are acknowledged
            invitation.initial_offer.prepare_sdp()
            await invitation.provisionals.heard()
            self._check_up()
        sdp, timer_headers = invitation.initial_offer.in_2xx(), self._keeper.start() if self._keeper else ()
        self._answer = answer = invitation.accept(sdp, timer_headers, self._answered_in_ack)
        await answer.settled()
        self._check_up()

    async def invite(self, outgoing: Outgoing) -> None:
        """Call the peer; return once it has answered.

        Raises Rejected, TransportFailed, TransactionTimeout, LegEnded, or OfferRefused (the answer is
        unusable, and the leg is ended with a BYE).
        """
        self._check_up()
        self.credentials, self.profile = outgoing.credentials, outgoing.profile
        self.keeps_flow, self.current_flow = outgoing.flow is not None, outgoing.current_flow
        self.other_flow = outgoing.other_flow
        self._client_invite = invite = ClientInvite(self, outgoing)
        try:
            await invite.start()
            await invite.answered
        finally:
            del invite  # a raised error keeps this frame alive through its traceback
        if self._client_invite is not None and not self._client_invite.offered:
            self._client_invite = None  # the transaction's user sees to a repeated 2xx from now on

    def follow_phone(self) -> Flow | None:
        """Follow the called phone after it has registered; returns its flow, None once it has answered."""
        return self._client_invite.follow_phone() if self._client_invite is not None else None

    async def offer(self, *, glare_s: float = inf) -> None:
        """Re-INVITE with our media's current offer, retry 491 for `glare_s`; raises as `Reoffers.offer`."""
        await self.reoffers.offer(self.media.offer, glare_s=glare_s)

    @property
    def offered(self) -> ClientInvite | Reoffers:
        """Where to `reply` to or `refuse` the peer's offer that `LegMedia.accept` left open."""
        first = self._client_invite
        return first if first is not None and first.offered else self.reoffers

    async def refresh(self) -> None:
        """Send a re-INVITE that repeats our last SDP (RFC 4028 §7.4); raises what `offer` does."""
        await self.reoffers.offer(self.media.repeat_sdp)

    async def refer(self) -> Refer:
        """Wait for the peer's next REFER. It stays queued until answered, even if this wait is cancelled."""
        assert self.refers is not None
        return await self.refers.next()

    def refer_waiting(self) -> Refer | None:
        """The REFER not yet answered, if any; also one that came just before the leg ended."""
        return self.refers.waiting if self.refers is not None else None

    def end(self, reason: EndReason, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """End the leg from our side, at once: BYE, CANCEL or a final response (§15, §9.1). Idempotent."""
        if self.refers is not None and (refer := self.refers.waiting) is not None:
            refer.refuse(481)  # nobody has answered it, and its dialog is over
        if self.ended.done():
            return self._release_parts()
        self.ended.set_result(reason)
        if self._client_invite is not None:
            self._client_invite.reply(b"")  # the 2xx must have its ACK all the same
        if self._answer is not None and self._answer.awaiting_ack:
            # §15: the callee must not send BYE before the ACK, or the ACK's timeout
            self._answer.on_ack(lambda ack: self._bye(reason))
        elif self._invitation is not None and self._invitation.open:
            self._invitation.refuse(reason.status, [*headers, ("Reason", reason.header)])
            self._leave_dialog()
        elif self.dialog is not None:
            self._bye(reason)
        elif self._client_invite is not None:
            self._client_invite.end(reason)
            self._client_invite = None
        self._stop_offers(reason)
        self._release_parts()

    # Called by the parts of the leg.

    @property
    def invitation(self) -> Invitation:
        assert self._invitation is not None
        return self._invitation

    @property
    def keeper(self) -> SessionKeeper:
        """The session timer (RFC 4028), made on first use."""
        if self._keeper is None:
            self._keeper = SessionKeeper(self, SessionTimer.offering())
        return self._keeper

    @property
    def has_session_timer(self) -> bool:
        """Whether a session timer is in use beyond the request for one in our INVITE."""
        return self._keeper is not None

    @property
    def reoffers(self) -> Reoffers:
        """Offers after the first, made on first use."""
        if self._reoffers is None:
            initial_offer = self._invitation.initial_offer if self._invitation is not None else None
            self._reoffers = Reoffers(self, owns_call_id=self._owns_call_id, initial_offer=initial_offer)
        return self._reoffers

    def rang(self, status: int) -> None:
        if self.ringing is None:
            self.ringing = status
            self._log.info("ringing", leg=self.name, status=status)

    def established(self, dialog: Dialog) -> None:
        """Register the dialog, early or confirmed: from now on its requests are delivered to this leg."""
        self.dialog = dialog
        self.core.enter(dialog.id, self)

    def live_dialog(self) -> Dialog:
        """The dialog of a leg that has not ended; raises LegEnded."""
        self._check_up()
        assert self.dialog is not None
        return self.dialog

    def moved(self, dialog: Dialog, flow: Flow) -> None:
        """A request got through over this flow: use it for later requests of the leg's dialog."""
        if dialog is self.dialog:
            self.flow = flow

    @property
    def early(self) -> bool:
        """True while the INVITE that began this leg has no final response."""
        return self._invitation is not None and self._invitation.open

    @property
    def unacknowledged(self) -> Answer | None:
        """Our 2xx to an INVITE or re-INVITE that still waits for its ACK."""
        answers = (self._answer, self._reoffers.answer if self._reoffers else None)
        return next((answer for answer in answers if answer is not None and answer.awaiting_ack), None)

    def ended_by_peer(self, reason: EndReason) -> None:
        """The peer ended the leg."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._client_invite is not None:
            self._client_invite.reply(b"")
        self._leave_dialog()
        self._stop_offers(reason)
        if self._answer is not None:
            self._answer.stop()
        self._release_parts()

    lost = end
    """The peer is no longer reachable: end the leg from our side, and latch that for whoever waits."""

    def close(self) -> None:
        """The core is closing: stop without sending anything more."""
        self.ended_by_peer(EndReason.DRAINING)
        if self._invitation is not None:
            self._invitation.stop()

    def new_call_id(self) -> str:
        """A new Call-ID, for one more INVITE that may begin the dialog."""
        call_id = self.core.ids.call_id()
        self.call_ids += (call_id,)
        return call_id

    def contact(self, flow: Flow) -> str:
        return self.core.contact(flow, self._contact_user)

    @property
    def takes_refer(self) -> bool:
        return self.refers is not None

    def capabilities(self) -> tuple[tuple[str, str], ...]:
        return IN_DIALOG_WITH_AGENT if self.refers is not None else IN_DIALOG

    # Called when the peer sends something.

    def acknowledged(self, ack: Request) -> None:
        if self._answer is not None:
            self._answer.acknowledged(ack)
        if self._reoffers is not None and self._reoffers.answer is not None:
            self._reoffers.answer.acknowledged(ack)

    def _answered_in_ack(self, ack: Request | None) -> None:
        """The INVITE had no offer, so the ACK has the answer to ours (§13.2.1). Ends the setup phase."""
        if ack is None or self.ended.done():
            return
        invitation = self.invitation
        try:
            invitation.initial_offer.answered(ack.body)
        except OfferRefused:
            return self.end(EndReason.MEDIA_REFUSED)
        self._answer = None
        if invitation.settled:
            self._invitation = None
            if self._reoffers is not None:
                self._reoffers.initial_offer_done()

    def receive(self, transaction: ServerTransaction) -> None:
        """Handle one in-dialog request (§12.2.2), whichever flow it came over; raises ParseError."""
        assert self.dialog is not None
        request = transaction.request
        self.dialog.receive(request)
        self.flow = dialog_flow(self.flow, transaction.flow, request.method, kept=self.keeps_flow)
        match request.method:
            case "BYE":
                transaction.reply(200)
                if self._invitation is not None:
                    self._invitation.refuse(487)  # §15.1.2: a BYE before our final response
                if not self.ended.done():
                    self.peer_reason = reasons(request)
                self.ended_by_peer(EndReason.HUNG_UP)
            case "PRACK":
                take_prack(self._invitation, transaction)
            case _ if self.ended.done():
                transaction.reply(481)  # our BYE is on its way
            case "INVITE" | "UPDATE":
                self.reoffers.receive(transaction)
            case _:
                serve(self, transaction)

    # Ending.

    def _check_up(self) -> None:
        if self.ended.done():
            raise LegEnded(self, self.ended.result())

    def _bye(self, reason: EndReason) -> None:
        if self.dialog is None or self._out_of_dialog:
            return
        bye = self.dialog.request("BYE", ("Reason", reason.header))
        InDialogRequest(self, self.dialog, bye, self._hung_up).start()

    def _hung_up(self, final: Final) -> None:
        self._leave_dialog()
        self._release_parts()

    def _stop_offers(self, reason: EndReason) -> None:
        """Send no more refreshes and offers; only the first 2xx is still seen through."""
        if self._keeper is not None:
            self._keeper.stop()
        if self._reoffers is not None:
            self._reoffers.stop(reason)

    def _leave_dialog(self) -> None:
        self._out_of_dialog = True
        if self.dialog is None:
            return
        leave, id, invitation = self.core.leave, self.dialog.id, self._invitation
        provisionals = None if invitation is None else invitation.provisionals
        if provisionals is None or provisionals.settled.done():
            return leave(id)
        # RFC 3262 §3: a PRACK still on its way is accepted even after the final response
        provisionals.settled.add_done_callback(lambda settled: leave(id))

    def _release_parts(self) -> None:
        """Drop references to parts that refer back to the leg, so that no cycle is left for the collector."""
        if not self._out_of_dialog:
            return
        if self._invitation is not None and self._invitation.settled:
            self._invitation = self._answer = None
        if self.refers is not None:
            self.refers.close()
        self._client_invite = self._keeper = self._reoffers = None
