"""Our INVITE: from the first try to the ACK, and what a late answer deserves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog
from proxy.sip.digest import DigestClient, DigestRefused
from proxy.sip.errors import ParseError, SipError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.driver import Message
from proxy.ua.errors import Rejected
from proxy.ua.reason import EndReason
from proxy.ua.route import on_course, reach
from proxy.ua.transactions import ClientTransaction, Unheard

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An INVITE to be made: whom to call, as whom."""

    uri: str
    """Request-URI and To."""
    identity: str
    """From, a name-addr without tag."""
    headers: tuple[tuple[str, str], ...] = ()
    credentials: DigestClient | None = None
    """Answers a 401 or 407, where the peer may ask for one."""


class Inviting:
    """The client side of one INVITE (RFC 3261 §13.2), with CANCEL and all its races (§9.1)."""

    def __init__(self, leg: Leg, outgoing: Outgoing) -> None:
        self._leg, self._core, self._outgoing = leg, leg.core, outgoing
        self._answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._call_id, self._cseq = self._core.ids.call_id(), 1
        self._identity = f"{outgoing.identity};tag={self._core.ids.tag()}"
        self._request: Request
        self._transaction: ClientTransaction | None = None
        self._acks: dict[str | None, Request] = {}
        """The ACK of each 2xx by its To tag, sent again whenever the 2xx is (§13.2.2.4)."""
        self._ringing = self._cancelled = False
        self._ending: EndReason | None = None

    async def run(self, sdp: bytes) -> Response:
        """Return the 2xx that made the dialog; raises Rejected, TransportFailed or TransactionTimeout."""
        flow = await reach(self._core.network, self._outgoing.uri)
        self._leg.flow = flow
        self._send(self._invite(flow, sdp), flow)
        return await self._answer

    def end(self, reason: EndReason) -> None:
        """Stop calling: CANCEL once a provisional response is in; a 2xx that still comes gets a BYE."""
        self._ending = reason
        self._answer.cancel()
        if self._ringing:
            self._cancel()

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        if message.status < 200:
            self._provisional(message)
        elif message.status < 300:
            self._accepted(message)
        elif message.status in (401, 407) and self._again(message):
            pass
        elif not self._answer.done():
            self._answer.set_exception(Rejected(message))

    def failed(self, error: SipError) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)

    def _provisional(self, response: Response) -> None:
        if self._ending:
            self._cancel()
        elif response.status > 100:
            self._leg.rang(response.status)
        self._ringing = True

    def _cancel(self) -> None:
        if not self._cancelled and self._transaction is not None and self._ending is not None:
            self._cancelled = True
            self._transaction.cancel(self._ending.header)

    def _accepted(self, response: Response) -> None:
        if ack := self._acks.get(response.to_tag):
            self._core.send_ack(ack, self._leg.flow)
            return
        try:
            dialog = Dialog.as_uac(self._request, response)
        except ParseError as error:
            return self.failed(error)
        self._acks[response.to_tag] = ack = dialog.ack(self._request)
        if on_course(self._leg.flow, dialog.next_hop):
            self._core.send_ack(ack, self._leg.flow)
            self._established(dialog, response)
        else:
            self._core.spawn(self._acknowledge_afar(ack, dialog, response))

    async def _acknowledge_afar(self, ack: Request, dialog: Dialog, response: Response) -> None:
        """The dialog's next hop is another place than the INVITE went to (§12.2.1.1)."""
        try:
            flow = await reach(self._core.network, dialog.next_hop, self._leg.flow.transport)
        except SipError:
            flow = self._leg.flow
        self._core.send_ack(ack, flow)
        self._leg.flow = flow
        self._established(dialog, response)

    def _established(self, dialog: Dialog, response: Response) -> None:
        if self._answer.done():  # ended meanwhile, or another fork was quicker (§13.2.2.4, §15)
            self._hang_up(dialog)
        else:
            self._leg.established(dialog, self._outgoing.credentials)
            self._answer.set_result(response)

    def _hang_up(self, dialog: Dialog) -> None:
        bye = dialog.request("BYE")
        bye.headers.add("Reason", (self._ending or EndReason.COMPLETED).header)
        self._core.launch(bye, self._leg.flow, Unheard())

    def _again(self, response: Response) -> bool:
        """Answer a challenge with the same INVITE, its CSeq one higher (§22.2)."""
        credentials = self._outgoing.credentials
        if credentials is None or self._ending:
            return False
        try:
            answer = credentials.authorize(self._request, response, self._core.ids.token())
        except DigestRefused:
            return False
        self._cseq += 1
        self._ringing = False
        request = self._invite(self._leg.flow, self._request.body)
        for name, value in answer:
            request.headers.add(name, value)
        self._send(request, self._leg.flow)
        return True

    def _send(self, request: Request, flow: Flow) -> None:
        self._request = request
        self._transaction = self._core.launch(request, flow, self)

    def _invite(self, flow: Flow, sdp: bytes) -> Request:
        request = Request("INVITE", self._outgoing.uri, Headers(), sdp)
        add = request.headers.add
        add("Max-Forwards", "70")
        add("From", self._identity)
        add("To", f"<{self._outgoing.uri}>")
        add("Call-ID", self._call_id)
        add("CSeq", f"{self._cseq} INVITE")
        add("Contact", self._leg.contact(flow))
        for name, value in self._leg.capabilities():
            add(name, value)
        for name, value in self._outgoing.headers:
            add(name, value)
        add("Content-Type", "application/sdp")
        return request
