"""Dialogs that our INVITE makes beside the leg's own: early ones and losers (RFC 3261 §12.1.2, §13.2.2.4)."""

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
"""Early dialogs of one INVITE; a peer that rings in more places than that rings there without one. As many
are hung up that answer too late, and no more."""


class Fork:
    """One of these dialogs: early, or answered when nobody wanted it any more and now being hung up.

                   2xx, taken by the leg once its ACK is sent: its requests go there from then on
        (early) ---2xx, not wanted--> ENDING ---our BYE is answered---> gone
           +-------peer's BYE, refusal of the INVITE, 64*T1 after another's 2xx---> gone

    Our offer stands open in it, so that the peer cannot offer (§14.2, RFC 3311 §5.2).
    """

    __slots__ = ("_forks", "_leg", "dialog", "ending", "flow", "held")

    def __init__(self, forks: Forks, leg: Leg, dialog: Dialog) -> None:
        self._forks, self._leg, self.dialog = forks, leg, dialog
        self.flow = leg.flow
        self.ending = False
        """Our BYE is on its way."""
        self.held: list[ServerTransaction] = []
        """REFERs whose sender has answered us, by a 2xx that is not in yet."""

    def receive(self, transaction: ServerTransaction) -> None:
        """One request of the peer (§12.2.2); raises ParseError."""
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
        """No INVITE of the peer is accepted here, so no ACK is awaited."""

    def close(self) -> None:
        self._forks.close()


_NOBODYS: frozenset[str] = frozenset()


def nobody() -> None:
    """Nobody need hear of it."""


class Forks:
    """All of them, by the To tag of the peer."""

    __slots__ = ("_declined", "_forks", "_leg", "_timer", "over")

    def __init__(self, leg: Leg, declined: Callable[[], None]) -> None:
        """`declined` is called when the peer hung up the only one before it answered."""
        self._leg, self._declined = leg, declined
        self._forks: dict[str, Fork] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.over = _NOBODYS
        """Tags of peers that said BYE before they answered (RFC 5407 App. A)."""

    def provisional(self, invite: Request, response: Response) -> Dialog | None:
        """The dialog of a 101-199, made by the first of its To tag (§12.1.2); None if it makes none."""
        tag = response.to_tag
        if not tag or tag in self.over:
            return None
        if (fork := self._forks.get(tag)) is not None:
            return fork.dialog
        if len(self._forks) >= MAX_FORKS:
            return None
        try:
            dialog = Dialog.as_uac(invite, response)
        except ParseError:
            return None  # of use without: the 2xx says it all again
        self._enter(tag, dialog)
        return dialog

    def answered(self, invite: Request, response: Response) -> Dialog:
        """The dialog of the first 2xx of its To tag, confirmed; raises ParseError."""
        tag = response.to_tag or ""
        fork = self._forks.get(tag)
        if self._timer is None and len(self._forks) > (fork is not None):
            loop = asyncio.get_running_loop()  # §13.2.2.4: early dialogs outlive the first 2xx by 64*T1
            self._timer = loop.call_later(64 * self._leg.core.timers.t1, self._drop_early)
        if fork is not None:
            fork.dialog.confirm(response)
            return fork.dialog
        dialog = Dialog.as_uac(invite, response)
        if tag not in self.over:
            self._enter(tag, dialog)
        return dialog

    def taken(self, dialog: Dialog) -> list[ServerTransaction]:
        """The leg has this dialog now; returns the requests that waited for that."""
        fork = self._forks.pop(dialog.id.remote_tag, None)
        if not self._forks:
            self._forks = {}  # an emptied one keeps its room, and most are never used again
        return fork.held if fork else []

    def decided(self) -> None:
        """The INVITE is answered, or has come to nothing: nobody can decline it any more."""
        self._declined = nobody

    @property
    def none(self) -> bool:
        """Nothing is left of any."""
        return not self._forks and not self.over

    def hang_up(self, dialog: Dialog, reason: EndReason, flow: Flow | None = None) -> None:
        """BYE to one that nobody wants; the peer's requests are answered until that is done."""
        tag = dialog.id.remote_tag
        if tag in self.over:  # its own BYE was quicker than its 2xx
            return
        if fork := self._forks.get(tag):
            fork.ending = True
            self._refuse_held(fork)
        bye = dialog.request("BYE", ("Reason", reason.header))
        InDialogRequest(self._leg, dialog, bye, lambda final: self._drop(tag), flow=flow).start()

    def hung_up(self, fork: Fork) -> None:
        """The peer said BYE, which it must not before its answer (§15); where no other rings, it is a no."""
        tag = fork.dialog.id.remote_tag
        self.over |= {tag}
        self._drop(tag)
        if not self._forks:
            self._declined()

    def close(self) -> None:
        """The INVITE was refused or came to nothing, and with it every early dialog (§12.3)."""
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
