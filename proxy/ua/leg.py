"""One dialog seen from our side, awaitable: what the peer does is latched, what we do is a verb."""

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
from proxy.ua.outgoing_invite import Anew, Outgoing
from proxy.ua.reason import EndReason
from proxy.ua.refer import Refer, Refers
from proxy.ua.reoffer import Reoffers
from proxy.ua.route import lives_on
from proxy.ua.scope import Up
from proxy.ua.session_keeper import SessionKeeper
from proxy.ua.transactions import ServerTransaction
from proxy.ua.uac import Inviting
from proxy.ua.uas import Answer, Invitation, take_prack

LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("screendoor")


class Leg:
    """One dialog from our side. `name` is ``caller``, ``agent`` or ``phone``."""

    __slots__ = (
        "__weakref__", "_answer", "_calls", "_contact_user", "_invitation", "_inviting", "_keeper", "_left",
        "_log", "_reoffers", "anew", "call_ids", "core", "credentials", "dialog", "ended",
        "flow", "keeps_flow", "media", "name", "peer_reason", "profile", "refers", "ringing",
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
        """What the Reason of the peer's BYE or CANCEL says, if it ended the leg."""
        self.ringing: int | None = None
        """The first provisional status above 100 from a peer that we call."""
        self.flow: Flow
        self.call_ids: tuple[str, ...] = ()
        """The Call-IDs that it is known by to its peer: one, unless it was called anew as somebody else."""
        self.dialog: Dialog | None = None
        self.credentials: DigestClient | None = None
        self.profile = ""
        """On whose terms TLS is spoken with the peer."""
        self.anew: Anew | None = None
        self.keeps_flow = False
        """Whether the peer is reached over its flow alone, as a registered phone is (RFC 5626 §5.3)."""
        self._contact_user = core.ids.token()
        self._left, self._calls = False, True
        self._inviting: Inviting | None = None
        self._invitation: Invitation | None = None
        self._answer: Answer | None = None
        self.refers = Refers() if takes_refer else None
        self._keeper: SessionKeeper | None = None
        self._reoffers: Reoffers | None = None

    @property
    def log(self) -> structlog.typing.FilteringBoundLogger:
        """Where it writes; bound when it does, since most legs write a line or none."""
        return self._log.bind(leg=self.name)

    # The call's verbs.

    def up(self) -> Up:
        """``async with leg.up():`` raises LegEnded inside the block when the leg ends."""
        return Up(self)

    def invited(self, transaction: ServerTransaction) -> None:
        """Take the INVITE that begins this leg (we are the UAS) and say 100; or what it asks ends the leg."""
        self.flow = transaction.flow
        self.profile = self.core.terms(self.flow)
        self.media.over(ip_version(self.flow), self.core.advertised.near(self.flow))
        self._invitation, self._calls = Invitation(self, transaction), False
        self._invitation.watch()
        request = transaction.request
        self.call_ids = (request.call_id,)
        if self.ended.done():
            return
        try:
            if "record-route" in request.headers.first:
                _ = request.record_routes  # the dialog is made of them
            ignored = SessionTimer.ignored_by(request)
            timer = None if ignored else SessionTimer.answering(request, wanted=INTERVAL)
        except ParseError as error:
            self._invitation.refuse(error.status)
            return self.gone(EndReason.REJECTED)
        if timer is not None:
            if timer.too_small:
                self._invitation.refuse(422, timer.headers)
                return self.gone(EndReason.INTERVAL_TOO_SMALL)
            self._keeper = SessionKeeper(self, timer)
        transaction.reply(100)

    def progress(self, status: int, *, early: bool = False) -> None:
        """A provisional response above 100, `early` with our SDP; raises OfferRefused if it cannot offer."""
        if (invitation := self._invitation) is not None and invitation.open:
            invitation.progress(status, early=early)

    def consider(self) -> None:
        """Take the caller's offer, or make our own if the INVITE has none; raises OfferRefused."""
        self.invitation.opening.consider()

    async def answer(self) -> None:
        """200 with the description of `consider()`; returns when it is acknowledged.

        Raises LegEnded if the leg is over before that, or its ACK brings an answer that cannot be used.
        """
        self._check_up()
        invitation = self.invitation
        if invitation.provisionals is not None:  # RFC 3262 §3: no 2xx before they are acknowledged
            invitation.opening.consider()
            await invitation.provisionals.heard()
            self._check_up()
        sdp, timed = invitation.opening.in_2xx(), self._keeper.answering() if self._keeper else ()
        self._answer = answer = invitation.accept(sdp, timed, self._answered_in_ack)
        await answer.settled()
        self._check_up()

    async def invite(self, outgoing: Outgoing) -> None:
        """Call the peer; returns when it has answered. Raises Rejected, TransportFailed, TransactionTimeout,
        LegEnded, or OfferRefused (an answer that cannot be used: the leg is then ended with a BYE).
        """
        self._check_up()
        self.credentials, self.profile = outgoing.credentials, outgoing.profile
        self.keeps_flow, self.anew = outgoing.flow is not None, outgoing.anew
        self._inviting = inviting = Inviting(self, outgoing)
        try:
            await inviting.start()
            await inviting.answered
        finally:
            del inviting  # an error knows this frame by its traceback
        if self._inviting is not None and not self._inviting.offered:
            self._inviting = None  # it is needed for as long as a 2xx may come again, and no longer

    def seek(self) -> Flow | None:
        """The phone that we call has registered: where it is by now, if it has not answered yet."""
        return self._inviting.seek() if self._inviting is not None else None

    async def offer(self, *, glare_s: float = inf) -> None:
        """Re-INVITE the peer with what media offers now; a 491 is tried again for `glare_s`. Raises much."""
        await self.reoffers.offer(self.media.offer, glare_s=glare_s)

    @property
    def offered(self) -> Inviting | Reoffers:
        """Whose `reply` and `refuse` meet the peer's offer that `LegMedia.accept` left open."""
        return self._inviting if self._inviting is not None and self._inviting.offered else self.reoffers

    async def refresh(self) -> None:
        """Re-INVITE the peer with what it was told last (RFC 4028 §7.4); raises as `offer` does."""
        await self.reoffers.offer(self.media.again)

    async def refer(self) -> Refer:
        """The peer's next REFER. It waits until it is answered: not lost if this wait is cancelled."""
        assert self.refers is not None
        return await self.refers.next()

    def refer_waiting(self) -> Refer | None:
        """The REFER that nobody has answered yet, if any; also one that came just before the leg ended."""
        return self.refers.waiting if self.refers is not None else None

    def end(self, reason: EndReason, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """End the leg from our side, at once: BYE, CANCEL or a final response (§15, §9.1). Once is enough."""
        if self.refers is not None and (refer := self.refers.waiting) is not None:
            refer.refuse(481)  # nobody came to answer it, and its dialog is over
        if self.ended.done():
            return self._let_go()
        self.ended.set_result(reason)
        if self._inviting is not None:
            self._inviting.reply(b"")  # its 2xx is owed an ACK, though nothing comes of it
        if self._answer is not None and self._answer.waiting:
            # §15: the callee's BYE waits for the ACK, or for the end of waiting
            self._answer.then(lambda ack: self._bye(reason))
        elif self._invitation is not None and self._invitation.open:
            self._invitation.refuse(reason.status, [*headers, ("Reason", reason.header)])
            self._leave()
        elif self.dialog is not None:
            self._bye(reason)
        elif self._inviting is not None:
            self._inviting.end(reason)
            self._inviting = None
        self._hush(reason)
        self._let_go()

    # What the parts of the leg tell it.

    @property
    def invitation(self) -> Invitation:
        assert self._invitation is not None
        return self._invitation

    @property
    def keeper(self) -> SessionKeeper:
        """Of the session timer."""
        if self._keeper is None:
            self._keeper = SessionKeeper(self, SessionTimer.offering())
        return self._keeper

    @property
    def timed(self) -> bool:
        """Whether more was said of a session timer than that our INVITE asks for one."""
        return self._keeper is not None

    @property
    def reoffers(self) -> Reoffers:
        """Of the offers after the first."""
        if self._reoffers is None:
            opening = self._invitation.opening if self._invitation is not None else None
            self._reoffers = Reoffers(self, owns_call_id=self._calls, opening=opening)
        return self._reoffers

    def rang(self, status: int) -> None:
        if self.ringing is None:
            self.ringing = status
            self._log.info("ringing", leg=self.name, status=status)

    def established(self, dialog: Dialog) -> None:
        """The dialog stands (early or confirmed): its requests come here from now on."""
        self.dialog = dialog
        self.core.enter(dialog.id, self)

    def standing(self) -> Dialog:
        """The dialog of a leg that is up; raises LegEnded."""
        self._check_up()
        assert self.dialog is not None
        return self.dialog

    def moved(self, dialog: Dialog, flow: Flow) -> None:
        """A request found its way over this flow; those that follow in the leg's dialog take it too."""
        if dialog is self.dialog:
            self.flow = flow

    @property
    def early(self) -> bool:
        """True while the INVITE that began this leg has no final response."""
        return self._invitation is not None and self._invitation.open

    @property
    def unacknowledged(self) -> Answer | None:
        """A 2xx of ours to an INVITE, first or later, whose ACK is not in."""
        answers = (self._answer, self._reoffers.answer if self._reoffers else None)
        return next((answer for answer in answers if answer is not None and answer.waiting), None)

    def gone(self, reason: EndReason) -> None:
        """The peer ended the leg."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._inviting is not None:
            self._inviting.reply(b"")
        self._leave()
        self._hush(reason)
        if self._answer is not None:
            self._answer.stop()
        self._let_go()

    lost = end
    """The peer is not heard of any more: end it from our side, and say so to whoever waits."""

    def close(self) -> None:
        """The house closes: stop without another word."""
        self.gone(EndReason.DRAINING)
        if self._invitation is not None:
            self._invitation.stop()

    def calls_anew(self) -> str:
        """The Call-ID of one more INVITE that may begin the dialog."""
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

    # What the peer sends.

    def acknowledged(self, ack: Request) -> None:
        if self._answer is not None:
            self._answer.acknowledged(ack)
        if self._reoffers is not None and self._reoffers.answer is not None:
            self._reoffers.answer.acknowledged(ack)

    def _answered_in_ack(self, ack: Request | None) -> None:
        """The INVITE had no offer and our 200 made one: its ACK has the answer (§13.2.1).

        What was said up to here is of no use to the call that begins, and let go.
        """
        if ack is None or self.ended.done():
            return
        invitation = self.invitation
        try:
            invitation.opening.answered(ack.body)
        except OfferRefused:
            return self.end(EndReason.MEDIA_REFUSED)
        self._answer = None
        if invitation.settled:
            self._invitation = None
            if self._reoffers is not None:
                self._reoffers.opened()

    def receive(self, transaction: ServerTransaction) -> None:
        """One in-dialog request (§12.2.2), on whatever flow it came; raises ParseError."""
        assert self.dialog is not None
        request = transaction.request
        self.dialog.receive(request)
        self.flow = lives_on(self.flow, transaction.flow, request.method, kept=self.keeps_flow)
        match request.method:
            case "BYE":
                transaction.reply(200)
                if self._invitation is not None:
                    self._invitation.refuse(487)  # §15.1.2: a BYE before our final response
                if not self.ended.done():
                    self.peer_reason = reasons(request)
                self.gone(EndReason.HUNG_UP)
            case "PRACK":
                take_prack(self._invitation, transaction)
            case _ if self.ended.done():
                transaction.reply(481)  # our BYE is on its way
            case "INVITE" | "UPDATE":
                self.reoffers.receive(transaction)
            case _:
                serve(self, transaction)

    # How it ends.

    def _check_up(self) -> None:
        if self.ended.done():
            raise LegEnded(self, self.ended.result())

    def _bye(self, reason: EndReason) -> None:
        if self.dialog is None or self._left:
            return
        bye = self.dialog.request("BYE", ("Reason", reason.header))
        InDialogRequest(self, self.dialog, bye, self._hung_up).start()

    def _hung_up(self, final: Final) -> None:
        self._leave()
        self._let_go()

    def _hush(self, reason: EndReason) -> None:
        """Ask nothing more of the peer: no refresh, no offer; the first 2xx alone is still seen through."""
        if self._keeper is not None:
            self._keeper.stop()
        if self._reoffers is not None:
            self._reoffers.stop(reason)

    def _leave(self) -> None:
        self._left = True
        if self.dialog is None:
            return
        leave, id, invitation = self.core.leave, self.dialog.id, self._invitation
        provisionals = None if invitation is None else invitation.provisionals
        if provisionals is None or provisionals.settled.done():
            return leave(id)
        # RFC 3262 §3: a PRACK that is on its way is taken after the final response too
        provisionals.settled.add_done_callback(lambda settled: leave(id))

    def _let_go(self) -> None:
        """When all is said, the parts that know the leg are unknown to it: no garbage collector is needed."""
        if not self._left:
            return
        if self._invitation is not None and self._invitation.settled:
            self._invitation = self._answer = None
        if self.refers is not None:
            self.refers.close()
        self._inviting = self._keeper = self._reoffers = None
