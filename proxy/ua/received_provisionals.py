"""What the provisional responses to an INVITE of ours bring: PRACKs owed, and early answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Response
from proxy.sip.session import ReliableReceipts
from proxy.sip.session.reliable import reliable
from proxy.ua.in_dialog_client import Final, InDialogRequest

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


MAX_KEPT = 32
"""Early descriptions of one INVITE that are kept, one for each place where it rings."""


class Receipts:
    """Acknowledges those of a peer that sends them reliably, though we ask nobody to (RFC 3262 §4).

    A description in a provisional response is kept until the peer has answered; whether it is heard before is
    for the media to say.
    """

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._machine = ReliableReceipts()
        self._sure: dict[str | None, bytes] = {}
        """The answer in a reliable provisional, by To tag: the exchange is complete with it (§5)."""
        self._unsure: dict[str | None, bytes] = {}
        """The first one in an ordinary provisional: the same is to come in the 2xx (RFC 3261 §13.2.1)."""

    def take(self, response: Response, dialog: Dialog | None) -> None:
        """A 101-199 with its early dialog; one that comes again, or too early, brings nothing."""
        if not reliable(response):
            if response.body and len(self._unsure) < MAX_KEPT:
                self._unsure.setdefault(response.to_tag, response.body)
                self._leg.media.early(response.body)
            return
        try:
            rack = self._machine.take(response) if dialog is not None else None
        except ParseError as error:
            self._leg.log.debug("provisional response not acknowledged", reason=str(error))
            return
        if dialog is None or rack is None:
            return
        if response.body:
            self._sure.setdefault(response.to_tag, response.body)
            self._leg.media.early(response.body)
        prack = dialog.request("PRACK")
        prack.headers.add("RAck", str(rack))
        InDialogRequest(self._leg, dialog, prack, self._acknowledged).start()

    def answer(self, response: Response) -> bytes:
        """The peer's answer, now that its 2xx is in.

        That of its reliable provisional stands, whatever the 2xx repeats; that of an ordinary one only fills
        in for a 2xx without any.
        """
        tag = response.to_tag
        return self._sure.get(tag) or response.body or self._unsure.get(tag, b"")

    def _acknowledged(self, final: Final) -> None:
        """Nothing hangs on it: the final response is what counts."""
        if isinstance(final, SipError) or final.status >= 300:
            self._leg.log.debug("PRACK not taken", answer=str(final))
