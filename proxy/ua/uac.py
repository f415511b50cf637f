"""The UAC side of an INVITE (RFC 3261 §13.2): from the first attempt to the ACK, and late 2xx responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.sip.session import SessionTimer
from proxy.sip.session.reliable import reliable
from proxy.transport.flow import Flow, ip_version
from proxy.ua.ack import Acknowledgement
from proxy.ua.driver import Message
from proxy.ua.errors import LegEnded, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.failover import Failover, Late2xxUser, dialog_of
from proxy.ua.forks import MAX_FORKS, Forks
from proxy.ua.in_dialog_server import serve
from proxy.ua.latch import Latch
from proxy.ua.outgoing_invite import InviteDraft, Outgoing
from proxy.ua.reason import EndReason
from proxy.ua.received_provisionals import ReceivedProvisionals
from proxy.ua.route import TARGET_TIMEOUT_S
from proxy.ua.transactions import ClientTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class ClientInvite:
    """The client side of one INVITE (RFC 3261 §13.2), including CANCEL and its races (§9.1)."""

    __slots__ = (
        "_acks", "_core", "_delayed_offer", "_draft", "_ending", "_failover", "_flow", "_forks", "_held",
        "_leg", "_provisionals", "_transaction", "answered",
    )  # fmt: skip

    def __init__(self, leg: Leg, outgoing: Outgoing) -> None:
        self._leg, self._core = leg, leg.core
        self.answered: Latch[None] = Latch(self._core.turn)
        """Set once the peer has answered and its answer is in force.

        Raises Rejected, TransportFailed, TransactionTimeout, LegEnded, or OfferRefused.
        """
        self._draft = InviteDraft(leg, outgoing)
        self._flow: Flow
        self._failover = Failover(self._core, outgoing.uri, outgoing.profile)
        self._transaction: ClientTransaction | None = None
        self._acks: dict[str | None, Acknowledgement] = {}
        """The ACK of each 2xx, by its To tag."""
        self._forks = Forks(leg, self._declined)
        self._provisionals: ReceivedProvisionals | None
        """Set once a provisional response has brought SDP or asks for a PRACK."""
        self._ending: EndReason | None = None
        self._delayed_offer: bool
        """Delayed offer: our INVITE has none, and the peer makes it in its 2xx."""
        self._held: tuple[Acknowledgement, bytes] | None = None
        """The held ACK and the offer of the 2xx, until our answer is known."""

    async def start(self) -> None:
        """Send it to the next target, in a new transaction (RFC 3263 §4.3); raises TransportFailed."""
        flow = self._draft.outgoing.flow or await self._failover.connect_next()
        if self._ending is None:
            leg = self._leg
            self._flow = leg.flow = flow
            leg.media.use_ip_version(ip_version(flow), leg.core.advertised.private_peer(flow))
            invite = self._draft.write(flow, leg.media.offer())
            if self._failover.has_more:  # before sending, which may fail at once and start the next attempt
                self._failover.start_timer(self._target_timed_out)
            elif self._draft.outgoing.other_flow is not None:
                self._failover.start_timer(self._flow_timed_out)
            self._send(invite)

    def end(self, reason: EndReason) -> None:
        """Stop calling: CANCEL once a provisional response is in; a 2xx that still comes gets a BYE."""
        self._ending = reason
        self._failover.stop_timer()
        self._fail(LegEnded(self._leg, reason))
        if self._transaction is not None:
            self._transaction.cancel(reason.header)
        if reason is EndReason.NO_ANSWER:
            self._failover.close_if_silent()

    def follow_phone(self) -> Flow | None:
        """Where the called phone is now (`ClientTransaction.follow_phone`); None before it is called."""
        return self._transaction.follow_phone() if self._transaction is not None else None

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        status = message.status
        self._failover.responded(status)
        if self._transaction is not None and status >= 200:
            self._flow = self._transaction.flow  # a registered phone may have moved to another flow
        if status < 200:
            self._progress(message)
        elif status < 300:
            self._accepted(message)
        else:
            self._target_failed()
            self._refused(message)

    def failed(self, error: SipError) -> None:
        self._target_failed()
        if self._ending is None:
            self._failover.failed_silently(error)
        self._try_next_target(error)

    def _target_failed(self) -> None:
        """This target has failed: the transaction is over and must not be cancelled any more."""
        self._forks.close()
        self._transaction = None

    def _target_timed_out(self) -> None:
        """No response from this target in time: try the next one."""
        self._failover.failed(f"no answer within {TARGET_TIMEOUT_S:g} s")
        self._abandon()
        self._try_next_target(TransactionTimeout(f"no answer within {TARGET_TIMEOUT_S:g} s"))

    def _abandon(self) -> None:
        """Stop resending, and deal with a late 2xx separately."""
        if self._transaction is not None:
            late_user = Late2xxUser(self._leg, self._draft.essence(), self._flow, EndReason.NO_ANSWER)
            self._transaction.abandon(late_user, EndReason.NO_ANSWER.header)
            self._transaction = None  # no longer to be cancelled from here

    def _start_over(self, before: Flow, flow: Flow) -> bool:
        """Call the phone anew if our address in Contact and SDP has to be another one over this flow."""
        if self._address_for(before) == self._address_for(flow):
            return False
        self._failover.stop_timer()
        self._abandon()
        self._draft.outgoing = self._draft.outgoing._replace(flow=flow)
        self._core.spawn(self._start_next())
        return True

    def _address_for(self, flow: Flow) -> tuple[int, str | None]:
        """What decides about our address towards this flow's peer: IP version and private network."""
        private_peer = self._core.advertised.private_peer(flow)
        return ip_version(flow), private_peer.ours if private_peer is not None else None

    def _flow_timed_out(self) -> None:
        """No response over this flow in time: resend over the phone's next one (RFC 5626 §7)."""
        other_flow = self._draft.outgoing.other_flow
        if self._transaction is not None and other_flow is not None:
            self._failover.start_timer(self._flow_timed_out)
            self._transaction.try_flow(other_flow(self._transaction.flow))

    def _try_next_target(self, error: SipError) -> None:
        """Try the next target, unless the phone has rung: it must not ring twice, over two paths."""
        open_still = not self.answered.done() and self._leg.ringing is None
        if not (self._failover.has_more and open_still and self._core.spawn(self._start_next())):
            self._fail(error)

    async def _start_next(self) -> None:
        try:
            await self.start()
        except SipError as error:
            self._fail(error)

    def _refused(self, response: Response) -> None:
        if response.status == 503:
            self._failover.unavailable(response)
            return self._try_next_target(Rejected(response))
        invite = None if self.answered.done() else self._draft.rewrite(response, self._flow)
        if invite is None:
            return self._fail(Rejected(response))
        self._send(invite)

    def _progress(self, response: Response) -> None:
        """A 1xx above 100 with a To tag makes an early dialog (§12.1.2)."""
        if response.status > 100:
            dialog = self._forks.provisional(self._draft.request, response)
            if response.body or reliable(response):
                self._provisionals = self._provisionals or ReceivedProvisionals(self._leg)
                self._provisionals.take(response, dialog)
            if not self.answered.done():
                self._leg.rang(response.status)

    def _declined(self) -> None:
        if self.answered.done():  # another fork has answered, or the attempt is over
            return
        self._leg.ended_by_peer(EndReason.HUNG_UP)
        self.end(EndReason.HUNG_UP)

    def _fail(self, error: SipError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # marks it as retrieved: there may be no waiter any more
        self._forks.settle()

    def _accepted(self, response: Response) -> None:
        """Handle one 2xx: the first for a To tag makes a dialog, and each gets an ACK (§13.2.2.4)."""
        tag = response.to_tag
        ack = self._acks.get(tag)
        if ack is None:
            if len(self._acks) >= MAX_FORKS:  # each makes us send BYEs to an address of the peer's choice
                return
            dialog = self._dialog(response)
            self._acks[tag] = ack = Acknowledgement(
                self._core,
                dialog,
                self._draft.request,
                self._flow,
                partial(self._established, dialog, response),
                profile=self._draft.outgoing.profile,
                kept=self._draft.outgoing.flow is not None,
                held=self._delayed_offer,
            )
            if self._delayed_offer:
                return self._offered_in_2xx(dialog, response, ack)
        ack.send()

    def _dialog(self, response: Response) -> Dialog:
        try:
            return self._forks.answered(self._draft.request, response)
        except ParseError as error:  # unusable, but the peer must still get an ACK and a BYE
            self._fail(OfferRefused(f"the answer cannot be read: {error}"))
            return dialog_of(self._forks, self._draft.request, response)

    def _established(self, dialog: Dialog, response: Response, flow: Flow) -> None:
        """The ACK was sent over this flow, or only waits for our SDP: the leg takes the dialog."""
        leg, forks = self._leg, self._forks
        if leg.dialog is dialog:  # established when the peer's offer came in its 2xx
            return leg.moved(dialog, flow)
        gone = dialog.id.remote_tag in forks.hung_up_tags
        if gone or self.answered.done():  # ended, or another fork answered first (§13.2.2.4, §15)
            self._transaction = None
            return self._hang_up(dialog, flow)
        leg.flow = flow
        leg.established(dialog)
        waiting = forks.take_over(dialog)
        if leg.has_session_timer or not SessionTimer.ruled_out_by(response):
            leg.keeper.answered(response)
        try:
            self._apply_answer(response)
        except OfferRefused as refusal:
            self._fail(refusal)
            leg.end(EndReason.MEDIA_REFUSED)
        else:
            self.answered.set_result(None)
            forks.settle()
            self._hand_over()
        for transaction in waiting:
            try:
                serve(leg, transaction)
            except ParseError as error:
                transaction.reply(error.status)

    def _hand_over(self) -> None:
        """Leave repeated 2xx responses to a smaller transaction user, unless other forks exist."""
        if self._transaction is not None and self._forks.is_empty and not self._delayed_offer:
            acks = tuple(self._acks.items())
            late_user = Late2xxUser(self._leg, self._draft.essence(), self._flow, EndReason.COMPLETED, acks)
            self._transaction.hand_over(late_user)
        self._transaction = None

    def _offered_in_2xx(self, dialog: Dialog, response: Response, ack: Acknowledgement) -> None:
        """Our INVITE had no offer: the dialog is confirmed, and the ACK waits for our answer (§13.2.2.4)."""
        offer = self._answer(response)
        if self.answered.done() or dialog.id.remote_tag in self._forks.hung_up_tags:
            return ack.answer(self._leg.media.refuse_all(offer))
        self._held = ack, offer
        self._established(dialog, response, self._flow)

    @property
    def offered(self) -> bool:
        """True while the offer in the peer's 2xx has no answer."""
        return self._held is not None

    def reply(self, sdp: bytes) -> None:
        """Send the ACK with this answer; an empty one rejects every media line. Later calls do nothing."""
        if self._held is not None:
            (ack, offer), self._held = self._held, None
            ack.answer(sdp or self._leg.media.refuse_all(offer))

    def refuse(self, status: int) -> None:
        """Refuse the peer's offer, which in an ACK is possible only by ending the leg."""
        self._leg.end(EndReason.MEDIA_REFUSED)

    def _apply_answer(self, response: Response) -> None:
        """Apply the offer and answer, or find our answer to the peer's offer. Raises OfferRefused."""
        if self._held is None:
            return self._leg.media.answered(self._answer(response))
        if sdp := self._leg.media.accept(self._held[1]):
            self.reply(sdp)

    def _answer(self, response: Response) -> bytes:
        return self._provisionals.answer(response) if self._provisionals is not None else response.body

    def _hang_up(self, dialog: Dialog, flow: Flow) -> None:
        self._forks.hang_up(dialog, self._ending or EndReason.COMPLETED, flow)

    def _send(self, invite: Request) -> None:
        self._delayed_offer, self._provisionals = not invite.body, None
        self._transaction = self._core.launch(invite, self._flow, self)
        if self._draft.outgoing.current_flow is not None:
            self._transaction.current_flow = self._draft.outgoing.current_flow
            self._transaction.start_over = self._start_over
