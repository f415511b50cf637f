"""Forked dialogs of our INVITE: early ones, and 2xx responses that lost (RFC 3261 §12.1.2, §13.2.2.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog
from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.in_dialog_client import InDialogRequest
from proxy.ua.in_dialog_server import serve
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


MAX_FORKS = 32
"""Early dialogs kept for one INVITE; further forks ring without one. Also how many late 2xx are hung up."""


class Fork:
    """One such dialog: early, or confirmed by an unwanted 2xx and being ended.

                   2xx, taken by the leg once its ACK is sent: later requests go there
        (early) ---2xx, not wanted--> ENDING ---our BYE is answered---> gone
           +-------peer's BYE, refusal of the INVITE, 64*T1 after another's 2xx---> gone

    Our offer is still open in it, so the peer cannot make one (§14.2, RFC 3311 §5.2).
    """

    __slots__ = ("_forks", "_leg", "dialog", "ending", "flow", "held")

    def __init__(self, forks: Forks, leg: Leg, dialog: Dialog) -> None:
        self._forks, self._leg, self.dialog = forks, leg, dialog
        self.flow = leg.flow
        self.ending = False
        """Our BYE has been sent."""
        self.held: list[ServerTransaction] = []
        """REFERs from a fork whose 2xx, sent before them, has not arrived yet."""

    def receive(self, transaction: ServerTransaction) -> None:
        """Handle one in-dialog request (§12.2.2); raises ParseError."""
        request = transaction.request
        self.dialog.receive(request)
        match request.method:
            case "BYE":
                transaction.reply(200)
                self._forks.hung_up(self)
            case _ if self._leg.ended.done() or self.ending:
                transaction.reply(481)  # our CANCEL or BYE is on its way
            case "UPDATE" if not request.body:
                self.dialog.accepted(request)
                transaction.reply(200, [("Contact", self._leg.contact(transaction.flow))])
            case "INVITE" | "UPDATE":
                transaction.reply(491)
            case "REFER" if self._leg.takes_refer:
                transaction.defer()
                self.held.append(transaction)
            case _:
                serve(self._leg, transaction)

    def acknowledged(self, ack: Request) -> None:
        """Nothing to do: no INVITE of the peer is accepted here."""

    def close(self) -> None:
        self._forks.close()


_NO_TAGS: frozenset[str] = frozenset()


def no_op() -> None:
    """Does nothing: the callback where nobody needs to know."""


class Forks:
    """The forked dialogs of one INVITE, by To tag."""

    __slots__ = ("_declined", "_forks", "_leg", "_timer", "hung_up_tags")

    def __init__(self, leg: Leg, declined: Callable[[], None]) -> None:
        """`declined` is called when the only fork hangs up before it answers."""
        self._leg, self._declined = leg, declined
        self._forks: dict[str, Fork] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.hung_up_tags = _NO_TAGS
        """To tags of forks that sent BYE before they answered (RFC 5407 App. A)."""

    def provisional(self, invite: Request, response: Response) -> Dialog | None:
        """The early dialog of a 101-199, made by the first with its To tag (§12.1.2); None without one."""
        tag = response.to_tag
        if not tag or tag in self.hung_up_tags:
            return None
        if (fork := self._forks.get(tag)) is not None:
            return fork.dialog
        if len(self._forks) >= MAX_FORKS:
            return None
        try:
            dialog = Dialog.as_uac(invite, response)
        except ParseError:
            return None  # not needed yet: the 2xx repeats everything
        self._enter(tag, dialog)
        return dialog

    def answered(self, invite: Request, response: Response) -> Dialog:
        """The dialog of the first 2xx with its To tag, confirmed; raises ParseError."""
        tag = response.to_tag or ""
        fork = self._forks.get(tag)
        if self._timer is None and len(self._forks) > (fork is not None):
            loop = asyncio.get_running_loop()  # §13.2.2.4: early dialogs outlive the first 2xx by 64*T1
            self._timer = loop.call_later(64 * self._leg.core.timers.t1, self._drop_early)
        if fork is not None:
            fork.dialog.confirm(response)
            return fork.dialog
        dialog = Dialog.as_uac(invite, response)
        if tag not in self.hung_up_tags:
            self._enter(tag, dialog)
        return dialog

    def take_over(self, dialog: Dialog) -> list[ServerTransaction]:
        """The leg takes over this dialog; returns the requests held until then."""
        fork = self._forks.pop(dialog.id.remote_tag, None)
        if not self._forks:
            self._forks = {}  # an emptied dict keeps its memory, and most are never used again
        return fork.held if fork else []

    def settle(self) -> None:
        """The INVITE is answered or has failed: `declined` is not called any more."""
        self._declined = no_op

    @property
    def is_empty(self) -> bool:
        """True if no fork is known."""
        return not self._forks and not self.hung_up_tags

    def hang_up(self, dialog: Dialog, reason: EndReason, flow: Flow | None = None) -> None:
        """Send BYE in an unwanted dialog; the peer's requests are still answered until it is done."""
        tag = dialog.id.remote_tag
        if tag in self.hung_up_tags:  # its BYE arrived before its 2xx
            return
        if fork := self._forks.get(tag):
            fork.ending = True
            self._refuse_held(fork)
        bye = dialog.request("BYE", ("Reason", reason.header))
        InDialogRequest(self._leg, dialog, bye, lambda final: self._drop(tag), flow=flow).start()

    def hung_up(self, fork: Fork) -> None:
        """A fork sent BYE before its answer, against §15; if no other is ringing, that declines the call."""
        tag = fork.dialog.id.remote_tag
        self.hung_up_tags |= {tag}
        self._drop(tag)
        if not self._forks:
            self._declined()

    def close(self) -> None:
        """The INVITE was refused or failed, and every early dialog ends with it (§12.3)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for tag in list(self._forks):
            self._drop(tag)

    def _enter(self, tag: str, dialog: Dialog) -> None:
        self._forks[tag] = fork = Fork(self, self._leg, dialog)
        self._leg.core.enter(dialog.id, fork)

    def _drop(self, tag: str) -> None:
        fork = self._forks.pop(tag, None)
        if fork is None:
            return
        self._leg.core.leave(fork.dialog.id)
        self._refuse_held(fork)

    @staticmethod
    def _refuse_held(fork: Fork) -> None:
        while fork.held:
            fork.held.pop().reply(481)

    def _drop_early(self) -> None:
        for tag, fork in list(self._forks.items()):
            if not fork.dialog.confirmed:
                self._drop(tag)
        if all(fork.ending for fork in self._forks.values()):
            self._declined()
