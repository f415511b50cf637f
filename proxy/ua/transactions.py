"""Client and server transactions (RFC 3261 §17): a pure state machine bound to its flow and its user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from proxy.sip.errors import SipError
from proxy.sip.message import Request, Response
from proxy.sip.transaction_key import TransactionKey
from proxy.sip.transactions import (
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    cancel_for,
    state,
)
from proxy.transport.flow import Flow, NotSent, TransportFailed
from proxy.ua.capabilities import SDP
from proxy.ua.driver import Driver, Message, TransactionUser
from proxy.ua.errors import TransactionTimeout
from proxy.ua.response_route import DisconnectedFlow
from proxy.ua.tombstones import ABSORBER, AcceptedByPeer, AcceptedByUs, Resender, Tombstone

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

ALWAYS_ANSWERED = ("INVITE", "REGISTER")
"""Methods that every peer answers (some ignore OPTIONS) and for which we open connections."""
RECHECK_S, MAX_RECHECKS = 0.5, 16
"""A ringing phone that loses its connection may reconnect: look every `RECHECK_S`, this many times."""


class ClientTransaction(Driver):
    """A request of ours; responses and failures go to its user."""

    _machine: InviteClient | NonInviteClient
    _sent = b""
    _cancel_reason: str | None = None
    """Reason header of a CANCEL that has to wait for a provisional response (§9.1)."""
    current_flow: Callable[[Flow], Flow | None] | None = None
    """Returns a registered phone's current flow, given the flow used last; see `Outgoing`."""

    start_over: Callable[[Flow, Flow], bool] = staticmethod(lambda before, flow: False)
    """Calls the phone anew if what it was sent over the flow before is of no use over this one."""

    def __init__(
        self, core: UserAgentCore, key: TransactionKey, request: Request, flow: Flow, user: TransactionUser
    ) -> None:
        self.key, self.request, self.flow = key, request, flow
        self._core, self._user, self._timer_queue = core, user, core.timer_queue
        self._heard = flow.received_count
        """How many messages the flow had brought before this request was sent."""
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        self._machine = kind(request, core.timers, flow.reliable)

    def start(self) -> None:
        self.perform(self._machine.start(self._timer_queue.now()))

    def receive(self, response: Response) -> None:
        if self.current_flow is not None:
            self._update_flow()
        self.perform(self._machine.receive(response, self._timer_queue.now()))
        if self._cancel_reason is not None:
            self._cancel()

    def lost(self, error: TransportFailed) -> None:
        """The connection is gone; a ringing phone may still answer over a new one or another contact."""
        if self.current_flow is not None and self._machine.state is state.PROCEEDING:
            self._core.spawn(self._await_reconnect(error))
        elif self._machine.state is not state.CALLING or self.follow_phone().closed:
            self.fail(error)

    async def _await_reconnect(self, error: TransportFailed) -> None:
        for _ in range(MAX_RECHECKS):
            if self._machine.state is not state.PROCEEDING:
                return
            self._update_flow()
            if not self.flow.closed:
                return self._cancel()  # if a CANCEL is due that could not be sent before
            await asyncio.sleep(RECHECK_S)
        self.fail(error)

    def _update_flow(self) -> None:
        """Switch to the phone's current flow: it no longer receives anything sent on an old one."""
        if self.current_flow is not None:
            self.flow = self.current_flow(self.flow) or self.flow

    def follow_phone(self) -> Flow:
        """Switch to the phone's current flow. If the phone has not responded yet, resend there at once.

        The bytes are identical, so a phone that also receives them over the old flow sees a retransmission;
        see `start_over` for the exception.
        """
        before = self.flow
        self._update_flow()
        if self.flow is not before and self._machine.state is state.CALLING:
            self._send_again(before)
        return self.flow

    def _send_again(self, before: Flow) -> None:
        if not self.start_over(before, self.flow):
            self._core.emit_again(self.flow, self._sent)

    def try_flow(self, flow: Flow | None) -> None:
        """Resend over another flow of the phone, which has not responded over the last one."""
        if flow is not None and self._machine.state in (state.CALLING, state.TRYING):
            log.info("phone tried over another flow", transport=flow.transport)
            self._core.retried.add(self)
            before, self.flow = self.flow, flow
            self._send_again(before)

    def answered_over(self, flow: Flow) -> None:
        """The first response shows which of the flows tried leads to the phone."""
        self._core.retried.discard(self)
        self.flow = flow

    def cancel(self, reason: str) -> None:
        """CANCEL this INVITE, at once or after its first provisional response (§9.1).

        Has no effect once the final response is in. `reason`: value of the Reason header (RFC 3326).
        """
        self._cancel_reason = reason
        self._cancel()

    def send(self, message: Message) -> None:
        if self.current_flow is not None:
            self._update_flow()
        try:
            self._sent = self._core.emit(self.flow, message)
        except NotSent as error:
            request = self.request
            if not (self._sent or request.to_tag or request.method == "CANCEL"):
                raise  # a new call can fail over to another target
            self._sent = _as_lost(message, error)

    def deliver(self, message: Message) -> None:
        self._user.received(message)

    def failed(self, error: SipError) -> None:
        self._core.retried.discard(self)
        self._user.failed(error)
        if isinstance(error, TransactionTimeout):
            self._close_if_silent()

    def _close_if_silent(self) -> None:
        """Close a connection that brought nothing at all during a whole transaction.

        The peer's process may hang, or wait for the rest of a message, while its kernel still acknowledges
        all that we send: only a new connection can bring an answer.
        """
        flow, silent = self.flow, self.flow.received_count == self._heard
        if flow.reliable and silent and self.current_flow is None and self.request.method in ALWAYS_ANSWERED:
            flow.fail(TransportFailed("nothing came by the connection in the time of a transaction"))

    def finished(self) -> None:
        self._core.clients.forget(self.key, self)

    def linger(self, until: float) -> None:
        """Leave a small tombstone in the core: only retransmissions can follow (`proxy.ua.tombstones`)."""
        machine = self._machine
        tombstone: Tombstone = ABSORBER
        if machine.state is state.ACCEPTED:
            tombstone = AcceptedByPeer(self._user)
            self._sent = b""
        elif isinstance(machine, InviteClient):
            tombstone = Resender(self._sent, self.flow, self._core)
        self._core.clients.linger(self.key, tombstone, until, machine.linger_s)

    def hand_over(self, user: TransactionUser) -> None:
        """Deliver everything that follows to `user`."""
        self._user = user

    def abandon(self, user: TransactionUser, reason: str) -> None:
        """Stop resending this INVITE, and CANCEL it if the peer responds; `user` gets later responses."""
        if isinstance(self._machine, InviteClient):
            self.perform(self._machine.abandoned())
        self.hand_over(user)
        self.cancel(reason)

    def _cancel(self) -> None:
        machine = self._machine
        if self._cancel_reason is None or not isinstance(machine, InviteClient):
            return
        if machine.state is state.PROCEEDING:  # §9.1: no CANCEL before a provisional response
            self._update_flow()
            if self.current_flow is not None and self.flow.closed:
                return
            cancel = cancel_for(self.request)
            cancel.headers.add("Reason", self._cancel_reason)
            self._cancel_reason = None
            self._core.launch(cancel, self.flow, NullUser())
            self.perform(machine.cancelled(self._timer_queue.now()))


class NullUser:
    """A transaction user that ignores the outcome."""

    def received(self, message: Message) -> None:
        pass

    def failed(self, error: SipError) -> None:
        pass


def _ignore(error: SipError | None = None) -> None:
    """Do nothing: the default while nobody watches the transaction."""


class ServerTransaction(Driver):
    """A peer's request and our responses to it."""

    _machine: InviteServer | NonInviteServer
    answered = False
    cancel: Request | None = None
    """The peer's CANCEL, once received."""
    _sent = b""
    _error: SipError | None = None
    _reconnected = False
    _on_cancel: Callable[[], None] = staticmethod(_ignore)
    _on_failure: Callable[[SipError], None] = staticmethod(_ignore)

    def __init__(self, core: UserAgentCore, key: TransactionKey, request: Request, flow: Flow) -> None:
        self.key, self.request, self.flow = key, request, flow
        self.tag = core.ids.tag()
        """The To tag of our responses, if the request has none (§8.2.6.2)."""
        self._core, self._timer_queue = core, core.timer_queue
        kind = InviteServer if request.method == "INVITE" else NonInviteServer
        self._machine = kind(request, core.timers, flow.reliable)

    def watch(self, cancelled: Callable[[], None], failed: Callable[[SipError], None]) -> None:
        """Set the callbacks for a CANCEL and a lost flow; if either has happened, it is called now."""
        self._on_cancel, self._on_failure = cancelled, failed
        if self.cancel is not None:
            cancelled()
        elif self._error is not None:
            failed(self._error)

    def cancelled(self, cancel: Request) -> None:
        """The peer's CANCEL arrived before this INVITE was answered (§9.2)."""
        self.cancel = cancel
        self._on_cancel()

    def defer(self) -> None:
        """Tell the machine that a non-INVITE response will take time; see `NonInviteServer.deferred`."""
        assert isinstance(self._machine, NonInviteServer)
        self.perform(self._machine.defer(self.make(100), self._timer_queue.now()))

    def receive(self, request: Request) -> None:
        self.perform(self._machine.receive(request, self._timer_queue.now()))

    def respond(self, response: Response) -> None:
        if response.status >= 200:
            self.answered = True
            self._on_cancel = self._on_failure = _ignore  # no effect after the final response (§9.2)
        self.perform(self._machine.respond(response, self._timer_queue.now()))

    def make(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Response:
        """Build a response. Every status but 100 gets our To tag, if the request has none (§8.2.6.2)."""
        response = self.request.reply(status, to_tag=None if status == 100 else self.tag, body=body)
        if body:
            response.headers.extend_constant(SDP)
        if headers:
            response.headers.extend(headers)
        return response

    def reply(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.respond(self.make(status, headers, body))

    def lost(self, error: TransportFailed) -> None:
        """The connection is gone. The sender of an INVITE may still be reachable over a new one (§18.2.2)."""
        if self._reconnected or self.answered or not isinstance(self._machine, InviteServer):
            return self.fail(error)
        self._reconnected = True  # only once: the peer may accept connections just to drop them
        profile = self._core.tls_profile_of(self.flow)
        self.flow = disconnected = DisconnectedFlow(self.flow)
        self._core.spawn(self._reconnect(disconnected, profile, error))

    def deliver(self, message: Message) -> None:
        """Pass on an ACK for our 2xx that reuses the INVITE's branch, as RFC 2543 peers send it."""
        assert isinstance(message, Request)
        self._core.acknowledged(message)

    def failed(self, error: SipError) -> None:
        self._error = error
        self._on_failure(error)

    async def _reconnect(self, disconnected: DisconnectedFlow, profile: str, error: TransportFailed) -> None:
        try:
            self.flow = await disconnected.reconnect(self._core.network, self.request, profile)
        except TransportFailed:
            self.fail(error)

    def send(self, message: Message) -> None:
        try:
            self._sent = self._core.emit(self.flow, message)
        except NotSent as error:
            self._sent = _as_lost(message, error)

    def finished(self) -> None:
        self._core.servers.forget(self.key, self)

    def linger(self, until: float) -> None:
        """Leave a small tombstone in the core: only retransmissions can follow (`proxy.ua.tombstones`)."""
        machine = self._machine
        tombstone: Tombstone = ABSORBER
        if machine.state is state.ACCEPTED:
            tombstone = AcceptedByUs(self.tag, self._core)
            self._sent = b""
        elif isinstance(machine, NonInviteServer):
            tombstone = Resender(self._sent, self.flow, self._core)
        self._core.servers.linger(self.key, tombstone, until, machine.linger_s)


def _as_lost(message: Message, error: NotSent) -> bytes:
    """Treat a datagram that could not be sent like one lost on the wire: a retransmission makes up for it."""
    log.warning("message not sent yet", what=message.headers.get("CSeq"), why=str(error))
    return message.encode()
