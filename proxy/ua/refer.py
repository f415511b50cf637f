"""A REFER from the peer: accepting it, and NOTIFYs of its progress (RFC 3515)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.sip.errors import ParseError, SipError
from proxy.sip.subscription import ReferSubscription
from proxy.sip.values import NameAddr
from proxy.ua.errors import TransactionTimeout
from proxy.ua.in_dialog_client import Final, InDialogRequest
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


class Refer:
    """One REFER and its implicit subscription. Raises ParseError if it has no usable Refer-To."""

    def __init__(self, leg: Leg, transaction: ServerTransaction, *, first: bool) -> None:
        self._leg, self._transaction = leg, transaction
        targets = transaction.request.headers.split("Refer-To")
        if len(targets) != 1:
            raise ParseError(f"REFER needs one Refer-To, not {len(targets)}")  # RFC 3515 §2.4.2
        self.target = NameAddr.parse(targets[0])
        """Where the peer wants the call to go: input to our policy, never dialled as written."""
        self._subscription = ReferSubscription(transaction.request, first=first)
        wish = transaction.request.headers.get("Refer-Sub") or ""
        self._no_subscription = wish.partition(";")[0].strip().lower() == "false"
        self._timed_out = False
        transaction.watch(lambda: None, self._failed)
        transaction.defer()

    @property
    def open(self) -> bool:
        """True until it is refused or its final NOTIFY is sent."""
        return not self._subscription.over

    @property
    def answered(self) -> bool:
        """True once it is accepted or refused, or its sender has timed out."""
        return self._transaction.answered or self._timed_out

    def accept(self) -> None:
        """Send 202, and the immediate NOTIFY (§2.4.4) unless the sender has suppressed the subscription."""
        headers = [("Contact", self._leg.contact(self._transaction.flow))]
        if self._no_subscription:  # RFC 4488 §4
            headers.append(("Refer-Sub", "false"))
            self._subscription.ended()
        self._transaction.reply(202, headers)
        self.progress(100)

    def refuse(self, status: int) -> None:
        self._subscription.ended()
        self._transaction.reply(status)

    def progress(self, status: int) -> None:
        """Send a NOTIFY with the status of the new call; a final status ends the subscription (§2.4.5)."""
        if self.open and not self._leg.ended.done() and self._leg.dialog is not None:
            notify = self._subscription.notify(self._leg.dialog, status)
            InDialogRequest(self._leg, self._leg.dialog, notify, self._notified).start()

    def _failed(self, error: SipError) -> None:
        """It was not answered in time (RFC 4320 §4.2). A lost connection alone does not withdraw it."""
        if isinstance(error, TransactionTimeout):
            self._timed_out = True
            self._subscription.ended()

    def _notified(self, final: Final) -> None:
        """If the peer rejects a NOTIFY, send no more; the transfer continues."""
        if isinstance(final, SipError) or final.status >= 300:
            self._subscription.ended()
            self._leg.log.debug("NOTIFY not taken", answer=str(final))


class Refers:
    """REFERs of one leg's peer, one at a time: a sender's retry is not a second request."""

    __slots__ = ("_arrived", "_latest")

    def __init__(self) -> None:
        self._latest: Refer | None = None
        self._arrived = asyncio.Event()

    async def next(self) -> Refer:
        """Wait for the next REFER. It stays queued until answered, even if this wait is cancelled."""
        while (refer := self.waiting) is None:
            self._arrived.clear()
            await self._arrived.wait()
        return refer

    @property
    def waiting(self) -> Refer | None:
        """The REFER that has not been answered, if any."""
        return self._latest if self._latest is not None and not self._latest.answered else None

    def close(self) -> None:
        """The leg has ended: drop a REFER that was answered."""
        if self._latest is not None and self._latest.answered:
            self._latest = None

    def receive(self, leg: Leg, transaction: ServerTransaction) -> None:
        """Handle one more REFER; raises ParseError."""
        if self._latest is not None and self._latest.open:
            return transaction.reply(491)
        self._latest = Refer(leg, transaction, first=self._latest is None)
        self._arrived.set()
