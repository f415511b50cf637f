"""The UAS side of an INVITE (RFC 3261 §13.3): until the final response, then until the ACK."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog
from proxy.sip.errors import SipError
from proxy.sip.message import Request, Response
from proxy.sip.reason import reasons
from proxy.sip.session import Acceptance
from proxy.ua.driver import Driver, Message
from proxy.ua.initial_offer import InitialOffer
from proxy.ua.latch import Latch
from proxy.ua.provisionals import Provisionals
from proxy.ua.reason import EndReason
from proxy.ua.timer_queue import Timer
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


REPEAT_S = 60.0
"""Seconds until a provisional response is repeated, so that proxies do not give up (RFC 3261 §13.3.1.1)."""
REPEAT_RELIABLY_S = 150.0
"""The same for a reliable provisional response (RFC 3262 §3)."""


class Answer(Driver):
    """A 2xx to an INVITE, resent until its ACK (RFC 3261 §13.3.1.4).

    Without an ACK in 64·T1 the leg is ended with a BYE.
    """

    _machine: Acceptance

    def __init__(
        self,
        leg: Leg,
        transaction: ServerTransaction,
        response: Response,
        then: Callable[[Request | None], None] | None = None,
    ) -> None:
        """`then`: see `on_ack()`."""
        self._leg = leg
        self._cseq = transaction.request.cseq.number
        self.awaiting_ack = True
        """True until the ACK is in."""
        self._on_ack: list[Callable[[Request | None], None]] = [] if then is None else [then]
        self._machine = Acceptance(response, leg.core.timers)
        self._transaction = transaction
        self._timer_queue = leg.core.timer_queue

    def start(self) -> None:
        self.perform(self._machine.start(self._timer_queue.now()))

    def acknowledged(self, ack: Request) -> None:
        if ack.cseq.number == self._cseq and self.awaiting_ack:
            self.perform(self._machine.acknowledged(self._timer_queue.now()))
            self._settle(ack)

    def stop(self) -> None:
        """The leg has ended: stop resending."""
        super().stop()
        if self.awaiting_ack:
            self._settle(None)

    def on_ack(self, callback: Callable[[Request | None], None]) -> None:
        """Call `callback` with the ACK, or with None if none comes in time or the leg ends before."""
        self._on_ack.append(callback)

    def settled(self) -> Latch[None]:
        """Set once the ACK is in, or will not come."""
        settled: Latch[None] = Latch(self._leg.core.turn)
        if self.awaiting_ack:
            self._on_ack.append(lambda ack: None if settled.done() else settled.set_result(None))
        else:
            settled.set_result(None)
        return settled

    def failed(self, error: SipError) -> None:
        self.stop()
        self._leg.lost(EndReason.NO_ACK)

    def send(self, message: Message) -> None:
        assert isinstance(message, Response)
        self._transaction.respond(message)

    def _settle(self, ack: Request | None) -> None:
        self.awaiting_ack = False
        callbacks, self._on_ack = self._on_ack, []
        for callback in callbacks:
            callback(ack)


class Invitation:
    """A peer's INVITE that began a leg, until it has its final response (§13.3)."""

    __slots__ = (
        "_contact", "_dialog", "_leg", "_repeat", "_transaction", "initial_offer", "provisionals", "request",
    )  # fmt: skip

    def __init__(self, leg: Leg, transaction: ServerTransaction) -> None:
        self._leg, self._transaction = leg, transaction
        self.request = request = transaction.request
        self._dialog: Dialog | None = None
        self.initial_offer = InitialOffer(leg.media, request)
        self.provisionals = (
            Provisionals(leg, transaction, self.initial_offer) if _requires_100rel(request) else None
        )
        """Reliable provisional responses, if the peer requires them (RFC 3262); else None."""
        self._repeat: Timer | None = None
        self._contact = "Contact", leg.contact(transaction.flow)

    @property
    def open(self) -> bool:
        return not self._transaction.answered

    @property
    def settled(self) -> bool:
        """True once it has its final response and no PRACK can follow."""
        return not self.open and (self.provisionals is None or self.provisionals.settled.done())

    def watch(self) -> None:
        """From now on a CANCEL or a lost connection ends the leg; so does one that has already come."""
        self._transaction.watch(self._cancelled, self._failed)

    def progress(self, status: int, *, early: bool = False) -> None:
        """Send a provisional response, which creates the dialog (§12.1.1). Raises OfferRefused.

        `early`: include our SDP, so that the peer hears audio; where no SDP can be included, send 180
        instead.
        """
        self._schedule_repeat(status, early)
        if self.provisionals is None:
            body = self.initial_offer.in_unreliable_provisional() if early else b""
            response = self._transaction.make(status if body or not early else 180, [self._contact], body)
            self._update_dialog(response)
            return self._transaction.respond(response)
        headers = [self._contact, *self._leg.capabilities()]  # RFC 3311 §5.1: Allow announces UPDATE
        response = self._transaction.make(
            status, headers, self.initial_offer.in_reliable_provisional(early=early)
        )
        self._update_dialog(response)
        self.provisionals.respond(response)

    def accept(
        self, sdp: bytes, headers: Iterable[tuple[str, str]], then: Callable[[Request | None], None]
    ) -> Answer:
        """Send the 200, which confirms the dialog, and await the ACK; `then`: see `Answer.on_ack`."""
        response = self._transaction.make(200, [self._contact], sdp)
        response.headers.extend_constant((*self._leg.capabilities(), *headers))
        self._update_dialog(response)
        answer = Answer(self._leg, self._transaction, response, then)
        answer.start()
        self._final()
        return answer

    def refuse(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        if self.open:
            self._transaction.reply(status, headers)
            self._final()

    def stop(self) -> None:
        """Stop without sending anything more."""
        self._schedule_repeat(None)
        if self.provisionals is not None:
            self.provisionals.stop()

    def _update_dialog(self, response: Response) -> None:
        """Create the dialog with our first response above 100; confirm it with our 2xx."""
        if self._dialog is None:
            self._dialog = Dialog.as_uas(self.request, response)
            self._leg.established(self._dialog)
        elif response.status >= 200:
            self._dialog.confirmed = True

    def _cancelled(self) -> None:
        self._transaction.reply(487)
        self._final()
        assert self._transaction.cancel is not None
        self._leg.peer_reason = reasons(self._transaction.cancel)
        self._leg.ended_by_peer(EndReason.CANCELLED)

    def _failed(self, error: SipError) -> None:
        """The connection the INVITE came on is gone; after the final response that no longer matters."""
        if self.open:
            self.stop()
            self._leg.ended_by_peer(EndReason.UNREACHABLE)

    def _schedule_repeat(self, status: int | None, early: bool = False) -> None:
        """Schedule a repeat of this provisional response; None cancels it."""
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        if status is not None:
            after_s = REPEAT_S if self.provisionals is None else REPEAT_RELIABLY_S
            timer_queue = self._leg.core.timer_queue
            self._repeat = timer_queue.at(
                timer_queue.now() + after_s, partial(self.progress, status, early=early)
            )

    def _final(self) -> None:
        self._schedule_repeat(None)
        if self.provisionals is not None:
            self.provisionals.final()


def take_prack(invitation: Invitation | None, prack: ServerTransaction) -> None:
    """Handle a PRACK; 481 if it matches no response of ours (RFC 3262 §3). Raises ParseError."""
    if invitation is None or invitation.provisionals is None:
        return prack.reply(481)
    invitation.provisionals.receive(prack)


def _requires_100rel(invite: Request) -> bool:
    return "require" in invite.headers.first and "100rel" in map(str.lower, invite.headers.split("Require"))
