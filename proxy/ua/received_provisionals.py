"""Provisional responses to our INVITE: PRACKs for reliable ones, and early SDP."""

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
"""How many early descriptions are kept for one INVITE, one for each fork."""


class ReceivedProvisionals:
    """Sends the PRACK for each reliable one, though we ask no peer for them (RFC 3262 §4).

    SDP in a provisional response is kept until the final answer; the media decides whether to play it before.
    """

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._machine = ReliableReceipts()
        self._reliable_sdp: dict[str | None, bytes] = {}
        """Answers in reliable provisionals, by To tag: they complete the exchange (§5)."""
        self._unreliable_sdp: dict[str | None, bytes] = {}
        """First SDP in unreliable provisionals: the 2xx must repeat it (RFC 3261 §13.2.1)."""

    def take(self, response: Response, dialog: Dialog | None) -> None:
        """Handle a 101-199 and its early dialog; a repeated or out-of-order one is ignored."""
        if not reliable(response):
            if response.body and len(self._unreliable_sdp) < MAX_KEPT:
                self._unreliable_sdp.setdefault(response.to_tag, response.body)
                self._leg.media.take_early_media(response.body)
            return
        try:
            rack = self._machine.take(response) if dialog is not None else None
        except ParseError as error:
            self._leg.log.debug("provisional response not acknowledged", reason=str(error))
            return
        if dialog is None or rack is None:
            return
        if response.body:
            self._reliable_sdp.setdefault(response.to_tag, response.body)
            self._leg.media.take_early_media(response.body)
        prack = dialog.request("PRACK")
        prack.headers.add("RAck", str(rack))
        InDialogRequest(self._leg, dialog, prack, self._acknowledged).start()

    def answer(self, response: Response) -> bytes:
        """The peer's answer, given its 2xx.

        SDP of a reliable provisional takes precedence over the 2xx; that of an unreliable one is used only if
        the 2xx has none.
        """
        tag = response.to_tag
        return self._reliable_sdp.get(tag) or response.body or self._unreliable_sdp.get(tag, b"")

    def _acknowledged(self, final: Final) -> None:
        """No consequence: only the final response counts."""
        if isinstance(final, SipError) or final.status >= 300:
            self._leg.log.debug("PRACK not taken", answer=str(final))
