"""Transactions as the user agents hold them: one of RFC 3261's machines, its flow and its user."""

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
from proxy.ua.driver import Driver, Message, User
from proxy.ua.errors import TransactionTimeout
from proxy.ua.response_route import Interrupted
from proxy.ua.tombstones import ABSORBED, AcceptedByPeer, AcceptedByUs, Late, Repeated

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

ALWAYS_ANSWERED = ("INVITE", "REGISTER")
"""Requests that no peer passes over, as some do OPTIONS, and for which connections of ours are made."""
LOOK_S, RETURNS_WITHIN = 0.5, 16
"""A phone that loses its connection while it rings is waited for so long (s), and so many times."""


class ClientTransaction(Driver):
    """A request of ours on its way: its responses go to `user`."""

    _machine: InviteClient | NonInviteClient
    _sent = b""
    _unwanted: str | None = None
    """Why it is to be cancelled, while no provisional response allows it yet."""
    anew: Callable[[Flow], Flow | None] | None = None
    """Where a registered phone is by now, given where it was called; see `Outgoing`."""

    def __init__(
        self, core: UserAgentCore, key: TransactionKey, request: Request, flow: Flow, user: User
    ) -> None:
        self.key, self.request, self.flow = key, request, flow
        self._core, self._user, self._alarms = core, user, core.alarms
        self._heard = flow.heard
        """How much had come by the flow before."""
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        self._machine = kind(request, core.timers, flow.reliable)

    def start(self) -> None:
        self.perform(self._machine.start(self._alarms.now()))

    def receive(self, response: Response) -> None:
        if self.anew is not None:
            self._follow()
        self.perform(self._machine.receive(response, self._alarms.now()))
        if self._unwanted is not None:
            self._cancel()

    def lost(self, error: TransportFailed) -> None:
        """The connection is gone; a phone that rings may answer over its next one, or ring over another."""
        if self.anew is not None and self._machine.state is state.PROCEEDING:
            self._core.spawn(self._back(error))
        elif self._machine.state is not state.CALLING or self.seek().closed:
            self.fail(error)

    async def _back(self, error: TransportFailed) -> None:
        for _ in range(RETURNS_WITHIN):
            if self._machine.state is not state.PROCEEDING:
                return
            self._follow()
            if not self.flow.closed:
                return self._cancel()  # if it was to be, and could not be told
            await asyncio.sleep(LOOK_S)
        self.fail(error)

    def _follow(self) -> None:
        """To where the phone is by now: what it does not hear there it does not hear."""
        if self.anew is not None:
            self.flow = self.anew(self.flow) or self.flow

    def seek(self) -> Flow:
        """Where the phone is by now; one that has shown no sign of this request hears it there at once.

        It is the same request, in case it comes by its old way, too.
        """
        before = self.flow
        self._follow()
        if self.flow is not before and self._machine.state is state.CALLING:
            self._core.emit_again(self.flow, self._sent)
        return self.flow

    def cancel(self, reason: str) -> None:
        """CANCEL this INVITE, at once or after its first provisional response (§9.1).

        Without effect once it has its final response. `reason`: value of the Reason header (RFC 3326).
        """
        self._unwanted = reason
        self._cancel()

    def send(self, message: Message) -> None:
        if self.anew is not None:
            self._follow()
        try:
            self._sent = self._core.emit(self.flow, message)
        except NotSent as error:
            request = self.request
            if not (self._sent or request.to_tag or request.method == "CANCEL"):
                raise  # a call that is yet to be made may go elsewhere
            self._sent = _lost(message, error)

    def deliver(self, message: Message) -> None:
        self._user.received(message)

    def failed(self, error: SipError) -> None:
        self._user.failed(error)
        if isinstance(error, TransactionTimeout):
            self._give_up()

    def _give_up(self) -> None:
        """A connection by which nothing has come all the while hangs at its other end, or waits for the rest
        of a message. All that we send may be acknowledged; only a new connection brings an answer.
        """
        flow, silent = self.flow, self.flow.heard == self._heard
        if flow.reliable and silent and self.anew is None and self.request.method in ALWAYS_ANSWERED:
            flow.fail(TransportFailed("nothing came by the connection in the time of a transaction"))

    def finished(self) -> None:
        self._core.clients.forget(self.key, self)

    def linger(self, until: float) -> None:
        """Leave the core a small thing in our place, for only repeats can come (`proxy.ua.tombstones`)."""
        machine = self._machine
        late: Late = ABSORBED
        if machine.state is state.ACCEPTED:
            late = AcceptedByPeer(self._user)
            self._sent = b""
        elif isinstance(machine, InviteClient):
            late = Repeated(self._sent, self.flow, self._core)
        self._core.clients.linger(self.key, late, until, machine.lingers)

    def hand_over(self, user: User) -> None:
        """It is `user` who hears of what comes from now on."""
        self._user = user

    def abandon(self, user: User, reason: str) -> None:
        """Send this INVITE no more, and CANCEL it if it shows life; `user` hears what still comes."""
        if isinstance(self._machine, InviteClient):
            self.perform(self._machine.abandoned())
        self.hand_over(user)
        self.cancel(reason)

    def _cancel(self) -> None:
        machine = self._machine
        if self._unwanted is None or not isinstance(machine, InviteClient):
            return
        if machine.state is state.PROCEEDING:  # §9.1: no CANCEL before a provisional response
            self._follow()
            if self.anew is not None and self.flow.closed:
                return
            cancel = cancel_for(self.request)
            cancel.headers.add("Reason", self._unwanted)
            self._unwanted = None
            self._core.launch(cancel, self.flow, Unheard())
            self.perform(machine.cancelled(self._alarms.now()))


class Unheard:
    """The user of a request whose outcome changes nothing."""

    def received(self, message: Message) -> None:
        pass

    def failed(self, error: SipError) -> None:
        pass


def _unheard(error: SipError | None = None) -> None:
    """Nobody watches."""


class ServerTransaction(Driver):
    """A peer's request and what we answer to it."""

    _machine: InviteServer | NonInviteServer
    answered = False
    cancel: Request | None = None
    """The peer's CANCEL, once it is in."""
    _sent = b""
    _error: SipError | None = None
    _returned = False
    _on_cancel: Callable[[], None] = staticmethod(_unheard)
    _on_failure: Callable[[SipError], None] = staticmethod(_unheard)

    def __init__(self, core: UserAgentCore, key: TransactionKey, request: Request, flow: Flow) -> None:
        self.key, self.request, self.flow = key, request, flow
        self.tag = core.ids.tag()
        """The To tag of every answer to a request that came without one (§8.2.6.2)."""
        self._core, self._alarms = core, core.alarms
        kind = InviteServer if request.method == "INVITE" else NonInviteServer
        self._machine = kind(request, core.timers, flow.reliable)

    def watch(self, cancelled: Callable[[], None], failed: Callable[[SipError], None]) -> None:
        """Say who hears of a CANCEL and of a lost flow; one that came before is told at once."""
        self._on_cancel, self._on_failure = cancelled, failed
        if self.cancel is not None:
            cancelled()
        elif self._error is not None:
            failed(self._error)

    def cancelled(self, cancel: Request) -> None:
        """The peer's CANCEL is in, and this INVITE is not yet answered (§9.2)."""
        self.cancel = cancel
        self._on_cancel()

    def defer(self) -> None:
        """The answer to this request, which is no INVITE, will take time: see `NonInviteServer.deferred`."""
        assert isinstance(self._machine, NonInviteServer)
        self.perform(self._machine.deferred(self.make(100), self._alarms.now()))

    def receive(self, request: Request) -> None:
        self.perform(self._machine.receive(request, self._alarms.now()))

    def respond(self, response: Response) -> None:
        if response.status >= 200:
            self.answered = True
            self._on_cancel = self._on_failure = _unheard  # neither means anything from now on (§9.2)
        self.perform(self._machine.respond(response, self._alarms.now()))

    def make(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Response:
        """A response to this request, with our To tag on all but a 100 where it has none yet (§8.2.6.2)."""
        response = self.request.reply(status, to_tag=None if status == 100 else self.tag, body=body)
        if body:
            response.headers.repeat(SDP)
        if headers:
            response.headers.extend(headers)
        return response

    def reply(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.respond(self.make(status, headers, body))

    def lost(self, error: TransportFailed) -> None:
        """The connection is gone; the sender of an INVITE may still be there to hear its answer (§18.2.2)."""
        if self._returned or self.answered or not isinstance(self._machine, InviteServer):
            return self.fail(error)
        self._returned = True  # once: a place that takes connections and drops them is nobody's
        profile = self._core.terms(self.flow)
        self.flow = interrupted = Interrupted(self.flow)
        self._core.spawn(self._return(interrupted, profile, error))

    def deliver(self, message: Message) -> None:
        """An ACK for our 2xx that has the branch of its INVITE, as an RFC 2543 peer sends it."""
        assert isinstance(message, Request)
        self._core.acknowledged(message)

    def failed(self, error: SipError) -> None:
        self._error = error
        self._on_failure(error)

    async def _return(self, interrupted: Interrupted, profile: str, error: TransportFailed) -> None:
        try:
            self.flow = await interrupted.replaced(self._core.network, self.request, profile)
        except TransportFailed:
            self.fail(error)

    def send(self, message: Message) -> None:
        try:
            self._sent = self._core.emit(self.flow, message)
        except NotSent as error:
            self._sent = _lost(message, error)

    def finished(self) -> None:
        self._core.servers.forget(self.key, self)

    def linger(self, until: float) -> None:
        """Leave the core a small thing in our place, for only repeats can come (`proxy.ua.tombstones`)."""
        machine = self._machine
        late: Late = ABSORBED
        if machine.state is state.ACCEPTED:
            late = AcceptedByUs(self.tag, self._core)
            self._sent = b""
        elif isinstance(machine, NonInviteServer):
            late = Repeated(self._sent, self.flow, self._core)
        self._core.servers.linger(self.key, late, until, machine.lingers)


def _lost(message: Message, error: NotSent) -> bytes:
    """A datagram that did not leave is lost as on the wire: it is sent again when due, or asked for again."""
    log.warning("not sent yet", what=message.headers.get("CSeq"), why=str(error))
    return message.encode()
