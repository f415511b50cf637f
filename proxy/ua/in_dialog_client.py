"""One in-dialog request of ours, until its final response (RFC 3261 §12.2.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import structlog

from proxy.sip.dialog import TARGET_REFRESH, Dialog
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.transport.flow import Address, Flow, TransportFailed
from proxy.ua.ack import Acknowledgement
from proxy.ua.driver import Message
from proxy.ua.errors import LegEnded, Rejected
from proxy.ua.route import TARGET_TIMEOUT_S, leads_to_next_hop, reach, verified_name
from proxy.ua.timer_queue import Timer
from proxy.ua.transactions import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg

log = structlog.get_logger("screendoor")

Final = Response | SipError
"""The outcome of a request: its final response, or the failure."""

_NOT_REPEATED = ("Via", "Authorization", "Proxy-Authorization")


class DialogOwner(Protocol):
    """Receives the requests of one dialog."""

    flow: Flow

    def receive(self, transaction: ServerTransaction) -> None: ...
    def acknowledged(self, ack: Request) -> None: ...
    def close(self) -> None: ...


class InDialogRequest:
    """Sent on the dialog's flow; repeated with credentials if challenged, or on a new flow if that is gone.

    For an INVITE every 2xx gets its ACK here (RFC 3261 §13.2.2.4). `request` was made by `dialog`, the leg's
    or that of a fork being hung up; each retry takes its next CSeq number (§22.2).
    """

    __slots__ = (
        "_ack", "_dialog", "_done", "_finished", "_flow", "_leg", "_reopened", "_request", "_timer",
        "_transaction", "_tried",
    )  # fmt: skip

    def __init__(
        self,
        leg: Leg,
        dialog: Dialog,
        request: Request,
        done: Callable[[Final], None],
        *,
        flow: Flow | None = None,
    ) -> None:
        """`flow`: the dialog's flow, if it is not the leg's."""
        self._leg, self._dialog, self._request, self._done = leg, dialog, request, done
        self._flow = flow or leg.flow
        self._transaction: ClientTransaction | None = None
        self._timer: Timer | None = None
        """Runs until a phone with several flows responds."""
        self._ack: Acknowledgement | None = None
        self._reopened = self._finished = False
        self._tried: tuple[Address, ...] = ()
        """The addresses that did not take the BYE."""

    def start(self) -> None:
        if (current_flow := self._leg.current_flow) is not None and self._dialog is self._leg.dialog:
            self._flow = current_flow(self._flow) or self._flow
            self._leg.moved(self._dialog, self._flow)
        if leads_to_next_hop(self._flow, self._dialog.next_hop, kept=self._leg.keeps_flow):
            self._launch()
        else:
            self._leg.core.spawn(self._reach())

    def withdraw(self, reason: str) -> None:
        """The leg has ended: CANCEL an INVITE that has no final response (§9.1)."""
        if self._transaction is not None:
            self._transaction.cancel(reason)

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        status = message.status
        if self._timer is not None:
            self._responded()
        if status < 200:
            return
        if status < 300 and (method := self._request.method) in TARGET_REFRESH:
            if method == "INVITE":
                self._acknowledge(message)
            else:
                self._confirm(message)
        if status == 503 and self._request.method == "BYE":
            self._leg.core.spawn(self._try_next_target(message))
        elif status not in (401, 407) or not self._authorized(message):
            self._finish(message)

    def failed(self, error: SipError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(error, TransportFailed) and not self._reopened:
            self._leg.core.spawn(self._reach())
        elif self._request.method == "BYE":
            self._leg.core.spawn(self._try_next_target(error))
        else:
            self._finish(error)

    async def _try_next_target(self, final: Final) -> None:
        """Send a BYE to the next address of its next hop (RFC 3263 §4.3); `final`: its outcome without one.

        Another member of the cluster may know the dialog; if none does, its session goes on, and is billed.
        """
        flow = self._flow
        self._tried = (*self._tried, flow.remote)
        try:
            self._flow = await self._connect(avoid=self._tried)
        except SipError:
            return self._finish(final)
        self._request = self._renumbered()
        self._launch()

    async def _reach(self) -> None:
        self._reopened = True
        try:
            self._flow = await self._connect_with_retries()
        except SipError as error:
            if self._transaction is not None or self._flow.closed:
                return self._finish(error)
            # The next hop may be a name known only in the peer's network: like an ACK, use the present flow.
            log.debug("request leaves its way", next_hop=self._dialog.next_hop, reason=str(error))
        self._leg.moved(self._dialog, self._flow)
        if self._obsolete:
            return self._finish(LegEnded(self._leg, self._leg.ended.result()))
        if self._transaction is not None:
            self._request = self._renumbered()
        self._launch()

    async def _connect_with_retries(self) -> Flow:
        """Connect to the next hop, retrying for as long as a datagram would be resent (§17.1.2.2)."""
        core, flow = self._leg.core, self._flow
        loop, pause_s = asyncio.get_running_loop(), core.timers.t1
        patience_s = 64 * core.timers.t1 if flow.reliable else 0.0
        late = loop.time() + patience_s
        while True:
            if self._leg.current_flow is not None and (found := self._leg.current_flow(flow)) is not None:
                return found
            try:
                return await self._connect()
            except TransportFailed:
                if self._obsolete or loop.time() + pause_s > late:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, core.timers.t2)

    async def _connect(self, *, avoid: Collection[Address] = ()) -> Flow:
        leg, flow = self._leg, self._flow
        return await reach(
            leg.core.network,
            self._dialog.next_hop,
            flow.transport,
            profile=leg.profile,
            peer=verified_name(flow),
            prefer=flow.remote,
            avoid=avoid,
        )

    @property
    def _obsolete(self) -> bool:
        """True once the leg has ended: no new INVITE or UPDATE, and no retries but of BYE (§15)."""
        late = self._transaction is not None or self._request.cseq.number < self._dialog.sent_cseq
        left = self._request.method in ("INVITE", "UPDATE") or (late and self._request.method != "BYE")
        return left and self._leg.ended.done()

    def _launch(self) -> None:
        """Send it, with a new CSeq if a request of the dialog with a higher one was sent first."""
        request, dialog = self._request, self._dialog
        number = request.cseq.number
        if number < dialog.sent_cseq:
            self._request = request = self._renumbered()
            number = dialog.local_cseq
        dialog.sent_cseq = number
        if request.method in ("INVITE", "NOTIFY", "UPDATE"):
            request.headers.set("Contact", self._leg.contact(self._flow))
        self._transaction = self._leg.core.launch(request, self._flow, self)
        if self._leg.other_flow is not None and not self._finished and dialog is self._leg.dialog:
            self._start_timer()

    def _start_timer(self) -> None:
        timer_queue = self._leg.core.timer_queue
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer_queue.at(timer_queue.now() + TARGET_TIMEOUT_S, self._flow_timed_out)

    def _flow_timed_out(self) -> None:
        """No response over this flow in time: resend over the phone's next one (RFC 5626 §7)."""
        transaction, other_flow = self._transaction, self._leg.other_flow
        if transaction is not None and other_flow is not None:
            transaction.try_flow(other_flow(transaction.flow))
            self._start_timer()

    def _responded(self) -> None:
        """The phone has responded, perhaps over another flow, which is the leg's from now on."""
        assert self._timer is not None
        self._timer.cancel()
        if self._transaction is not None and self._transaction.flow is not self._flow:
            self._flow = self._transaction.flow
            self._leg.moved(self._dialog, self._flow)

    def _acknowledge(self, response: Response) -> None:
        if self._ack is None:
            self._confirm(response)
            moved = self._leg.moved
            dialog, flow = self._dialog, self._flow
            self._ack = Acknowledgement(
                self._leg.core,
                dialog,
                self._request,
                flow,
                lambda flow: moved(dialog, flow),
                profile=self._leg.profile,
                kept=self._leg.keeps_flow,
            )
        self._ack.send()

    def _confirm(self, response: Response) -> None:
        """A 2xx refreshes the remote target (§12.2.1.2, RFC 3311 §5.1), unless its Contact is unreadable."""
        with suppress(ParseError):
            self._dialog.confirm(response)

    def _renumbered(self) -> Request:
        """The same request with the dialog's next CSeq, without Via and credentials."""
        request = self._dialog.request(self._request.method)
        made = {name for name, _ in request.headers}
        for name, value in self._request.headers:
            if name not in made and name not in _NOT_REPEATED:
                request.headers.add(name, value)
        request.body = self._request.body
        return request

    def _authorized(self, challenge: Response) -> bool:
        """Send it again with credentials (§22.2); False if the challenge cannot be answered."""
        if self._leg.credentials is None or self._obsolete:
            return False
        try:
            answer = self._leg.credentials.authorize(self._request, challenge, self._leg.core.ids.token())
        except SipError:
            return False
        self._request = self._renumbered()
        for name, value in answer:
            self._request.headers.add(name, value)
        self._launch()
        return True

    def _finish(self, final: Final) -> None:
        if not self._finished:
            self._finished = True
            self._transaction = None  # breaks a reference cycle
            self._done(final)


def accepted(final: Final) -> Response:
    """Return the 2xx that a request ended with; raise any other outcome."""
    if isinstance(final, SipError):
        raise final
    if final.status >= 300:
        raise Rejected(final)
    return final
