"""One request of ours inside a dialog, seen through to its final response."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.digest import DigestRefused
from proxy.sip.errors import SipError
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow, TransportFailed
from proxy.ua.driver import Message
from proxy.ua.errors import Rejected
from proxy.ua.route import on_course, reach

if TYPE_CHECKING:
    from proxy.ua.leg import Leg

Final = Response | SipError
"""How a request ended: the final response, or why there was none."""


class InDialogRequest:
    """Sent on the dialog's flow; authenticated when asked; sent again on a new flow if its own is gone.

    For an INVITE every 2xx is acknowledged here (RFC 3261 §13.2.2.4). `request` comes from the leg's dialog;
    each further try takes the dialog's next CSeq number (§22.2).
    """

    def __init__(self, leg: Leg, request: Request, done: Callable[[Final], None]) -> None:
        assert leg.dialog is not None
        self._leg, self._dialog, self._request, self._done = leg, leg.dialog, request, done
        self._flow: Flow
        self._reopened = self._finished = False

    def start(self) -> None:
        if on_course(self._leg.flow, self._dialog.next_hop):
            self._launch(self._leg.flow)
        else:
            self._leg.core.spawn(self._reach())

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        if message.status < 200:
            return
        if self._request.method == "INVITE" and message.status < 300:
            self._leg.core.send_ack(self._dialog.ack(self._request), self._flow)
        if message.status not in (401, 407) or not self._authorized(message):
            self._finish(message)

    def failed(self, error: SipError) -> None:
        if isinstance(error, TransportFailed) and not self._reopened:
            self._leg.core.spawn(self._reach())
        else:
            self._finish(error)

    async def _reach(self) -> None:
        self._reopened = True
        try:
            flow = await reach(self._leg.core.network, self._dialog.next_hop, self._leg.flow.transport)
        except SipError as error:
            self._finish(error)
        else:
            self._leg.flow = flow
            if "Via" in self._request.headers:
                self._request = self._anew()
            self._launch(flow)

    def _launch(self, flow: Flow) -> None:
        self._flow = flow
        if self._request.method in ("INVITE", "UPDATE", "NOTIFY"):
            self._request.headers.set("Contact", self._leg.contact(flow))
        self._leg.core.launch(self._request, flow, self)

    def _anew(self) -> Request:
        """The same request with the dialog's next number, without Via and credentials."""
        request = self._dialog.request(self._request.method)
        for name, value in self._request.headers:
            if name != "Via" and name not in request.headers and "uthorization" not in name:
                request.headers.add(name, value)
        request.body = self._request.body
        return request

    def _authorized(self, challenge: Response) -> bool:
        """Send it again with credentials (§22.2); False if the peer's challenge cannot be answered."""
        if self._leg.credentials is None:
            return False
        request = self._anew()
        try:
            answer = self._leg.credentials.authorize(self._request, challenge, self._leg.core.ids.token())
        except DigestRefused:
            return False
        for name, value in answer:
            request.headers.add(name, value)
        self._request = request
        self._launch(self._flow)
        return True

    def _finish(self, final: Final) -> None:
        if not self._finished:
            self._finished = True
            self._done(final)


def accepted(final: Final) -> Response:
    """The 2xx that a request ended with; any other ending is raised."""
    if isinstance(final, SipError):
        raise final
    if final.status >= 300:
        raise Rejected(final)
    return final
