"""The user agent core (RFC 3261 §5): dispatches messages to transactions, dialogs and new calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from proxy.sip.body import reduce_to_sdp
from proxy.sip.dialog import DialogId
from proxy.sip.errors import ParseError
from proxy.sip.message import Request, parse_message
from proxy.sip.methods import KNOWN_METHODS
from proxy.sip.timers import Timers
from proxy.sip.transaction_key import TransactionKey, client_key, invite_key_of
from proxy.transport.flow import Flow, Network, TransportFailed
from proxy.ua.admission_control import DEFERRABLE, AdmissionControl
from proxy.ua.advertised import Advertised
from proxy.ua.authenticated_peers import AuthenticatedPeers
from proxy.ua.capabilities import ALLOW, REGISTERING, UNDERSTOOD, capabilities
from proxy.ua.driver import Message, TransactionUser
from proxy.ua.ended_dialogs import EndedDialogs
from proxy.ua.gate import Gate
from proxy.ua.ids import Ids
from proxy.ua.in_dialog_client import DialogOwner
from proxy.ua.inbound import routing_keys
from proxy.ua.latch import MessageTurn
from proxy.ua.loop_detection import is_emergency, is_loop
from proxy.ua.merged_requests import MergedRequests
from proxy.ua.request_checks import refusal
from proxy.ua.response_route import add_source
from proxy.ua.route import DEFAULT_PORTS
from proxy.ua.target_health import TargetHealth
from proxy.ua.timer_queue import TimerQueue
from proxy.ua.tombstones import AcceptedByUs
from proxy.ua.transaction_table import TransactionTable
from proxy.ua.transactions import ClientTransaction, ServerTransaction

log = structlog.get_logger("screendoor")

Trace = Callable[[str, Flow, Message], None]
"""Called for every message, with ``<`` if it was received and ``>`` if it was sent."""


class UserAgentCore:
    """The transaction user of RFC 3261 §5: matches messages to transactions, dialogs and new calls."""

    def __init__(
        self,
        network: Network,
        *,
        ids: Ids,
        advertised: Advertised,
        gate: Gate,
        invited: Callable[[ServerTransaction], None],
        overload_wait_s: Callable[[Flow], int | None] = lambda flow: None,
        timers: Timers | None = None,
    ) -> None:
        """`overload_wait_s`: overload control for new calls; see `AdmissionControl`."""
        self.network, self.ids, self.advertised = network, ids, advertised
        self.timers = timers or Timers()
        self.timer_queue, self.turn = TimerQueue(), MessageTurn()
        self.target_health = TargetHealth()
        self.traces: list[Trace] = []
        self.authenticated_peers = AuthenticatedPeers()
        """Peers that prove who they are, by digest or registration, instead of by their address."""
        self.tls_profile_of: Callable[[Flow], str] = lambda flow: ""
        """Name of the TLS profile to use if the connection to this flow's peer must be opened again."""
        self.also_needed: list[Callable[[Flow], bool]] = [self.authenticated_peers.knows]
        """Further reasons to keep a connection open, such as a registration made over it."""
        self._gate, self._invited = gate, invited
        self.clients: TransactionTable[ClientTransaction] = TransactionTable(self.timer_queue)
        self.retried: set[ClientTransaction] = set()
        """Those that were resent over another flow, and have no response yet."""
        self._merged_requests = MergedRequests()
        self.servers: TransactionTable[ServerTransaction] = TransactionTable(
            self.timer_queue, self._merged_requests.forget
        )
        self._admission = AdmissionControl(self.servers, self.authenticated_peers, overload_wait_s, ids)
        self._dialogs: dict[DialogId, DialogOwner] = {}
        self._ended_dialogs = EndedDialogs()
        self._proven_flows: set[Flow] = set()
        """Connections from unknown addresses whose peer has shown that it knows the tags of a dialog."""
        self._closed = False
        self.draining = False
        """True once no new calls are accepted."""
        self._tasks: set[asyncio.Task[None]] = set()

    # Called by the network.

    def welcomes(self, flow: Flow) -> bool:
        """Whether the peer is known by its address or by what it has proved; others get no response."""
        return flow in self._proven_flows or self._gate.admits(flow) or self.authenticated_peers.knows(flow)

    def bars(self, flow: Flow) -> bool:
        """Whether this stranger was refused too often recently; connections that it opens are dropped."""
        return self._gate.bars(flow)

    def needs(self, flow: Flow) -> bool:
        """Whether a dialog, transaction or registration uses this connection; walks over all of them."""
        users = [*self._transactions(), *self._dialogs.values()]
        return any(user.flow is flow for user in users) or any(needs(flow) for needs in self.also_needed)

    def received(self, flow: Flow, data: bytes) -> None:
        """Handle one received message. Errors, the peer's or ours, are contained here."""
        if self._closed:
            return
        turn = self.turn
        within, turn.handling = turn.handling, True
        try:
            self._received(flow, data)
        except Exception:
            log.exception("message not handled", source=flow.remote[0])
        if not within:
            if turn.pending:
                turn.run_pending()
            turn.handling = False

    def _received(self, flow: Flow, data: bytes) -> None:
        """Parse and dispatch one message; drop it if malformed or unwanted (RFC 3261 §16.3, §18.3)."""
        ours = self._gate.admits(flow) or self.authenticated_peers.knows(flow)
        if not ours and self._gate.ignores(flow, data):
            if flow.reliable and self._gate.bars(flow):
                flow.close()  # otherwise whatever it sends next would still be read
            return
        try:
            message = parse_message(data)
            key, dialog = routing_keys(message)
        except ParseError as error:
            self._gate.malformed(flow, error)
            if ours:
                self._reply_to_malformed(flow, error)
            return
        if self.traces:
            self._trace("<", flow, message)
        if message.body:
            reduce_to_sdp(message)
        if isinstance(message, Request):
            assert dialog is not None
            self._request(message, key, dialog, flow, ours, len(data))
        elif client := self.clients.get(key):
            if self.retried and client in self.retried:
                client.answered_over(flow)
            client.receive(message)
        elif not ours:
            self._gate.refused(flow)

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        """The stream cannot be parsed any further; a known peer is sent an error before it closes."""
        self._gate.malformed(flow, error)
        if self._gate.admits(flow):
            self._reply_to_malformed(flow, error)

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        """A connection is gone: fail every transaction that uses it (RFC 3261 §17.1.4, §17.2.4)."""
        self._proven_flows.discard(flow)
        self.authenticated_peers.lost(flow)
        for transaction in self._transactions():
            if transaction.flow is flow:
                transaction.lost(error)

    # Called by the user agents.

    def launch(self, request: Request, flow: Flow, user: TransactionUser) -> ClientTransaction:
        """Send a request in a new client transaction, with our Via on top unless it is a CANCEL."""
        if request.method == "CANCEL":
            key = client_key(request)
        else:
            branch = self.ids.branch()
            request.headers.prepend("Via", self._via(flow, branch))
            key = TransactionKey(branch.lower(), request.method)
        transaction = ClientTransaction(self, key, request, flow, user)
        self.clients.enter(key, transaction)
        self._gate.proved(flow)
        transaction.start()
        return transaction

    def send_ack(self, ack: Request, flow: Flow) -> bytes:
        """Send the ACK for a 2xx: a message of its own, outside any transaction (RFC 3261 §13.2.2.4).

        Returns the bytes as sent.
        """
        ack.headers.prepend("Via", self._via(flow, self.ids.branch()))
        try:
            return self.emit(flow, ack)
        except TransportFailed:
            log.debug("ack not sent", to=flow.remote)
            return ack.encode()

    def acknowledged(self, ack: Request) -> None:
        """Pass the peer's ACK for a 2xx to the leg of its dialog, if there is one."""
        if leg := self._dialogs.get(DialogId.of_request(ack)):
            leg.acknowledged(ack)

    def emit(self, flow: Flow, message: Message) -> bytes:
        """Send a message and return its bytes. Raises TransportFailed."""
        if self._closed:
            raise TransportFailed("the user agent is closed")
        if self.traces:
            self._trace(">", flow, message)
        data = message.encode()
        flow.send(data)
        return data

    def emit_again(self, flow: Flow, data: bytes) -> None:
        """Send bytes returned by `emit` once more. A failure is ignored: the peer will retransmit."""
        if self.traces:
            self._trace(">", flow, parse_message(data))
        try:
            flow.send(data)
        except TransportFailed:
            log.debug("not sent again", to=flow.remote)

    def contact(self, flow: Flow, user: str, *, registrar: bool = False) -> str:
        """Our Contact on this flow: the public host, the listener's port, exactly one transport parameter."""
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{user}@{self.advertised.towards(flow, registrar=registrar)}{transport}>"

    def enter(self, dialog: DialogId, leg: DialogOwner) -> None:
        self._dialogs[dialog] = leg

    def leave(self, dialog: DialogId) -> None:
        if self._dialogs.pop(dialog, None) is not None:
            self._ended_dialogs.add(dialog)

    def spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a coroutine that outlives its caller; False, and nothing is run, once the core is closed."""
        if self._closed:
            work.close()
            return False
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def left_over(self) -> dict[str, int]:
        """Count what is still open, by kind. All zero once every call has ended cleanly."""
        return {
            "client transactions": len(self.clients),
            "server transactions": len(self.servers),
            "dialogs": len(self._dialogs),
            "tasks": len(self._tasks),
        }

    async def close(self) -> None:
        """Drop every dialog, transaction and task, and fail whoever waits on one; nothing more is sent.

        The network is closed by its owner.
        """
        self._closed = True
        for leg in list(self._dialogs.values()):
            leg.close()
        for transaction in self._transactions():
            transaction.fail(TransportFailed("the user agent is closed"))
            transaction.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for table in (self.clients, self.servers, self._merged_requests, self._dialogs, self.retried):
            table.clear()
        self.timer_queue.close()

    def _transactions(self) -> list[ClientTransaction | ServerTransaction]:
        return [*self.clients.live(), *self.servers.live()]

    # Dispatch of requests.

    def _request(
        self, request: Request, key: TransactionKey, dialog: DialogId, flow: Flow, ours: bool, size: int
    ) -> None:
        add_source(request, flow)
        if known := self.servers.get(key):
            return known.receive(request)
        leg = self._dialogs.get(dialog) if dialog.local_tag else None
        if leg is None and self._gate.scans(flow, request):
            return
        if not ours:
            if leg is not None:
                self._gate.proved(flow)
                if flow.reliable:
                    self._proven_flows.add(flow)
            elif dialog not in self._ended_dialogs and not self.authenticated_peers.admit(
                request, flow, size, self._gate
            ):
                return
        if request.method == "ACK":
            return leg.acknowledged(request) if leg else None
        if leg is None or request.method in DEFERRABLE:
            wait_s = self._admission.wait_s(request, flow)
            if wait_s is not None:
                return self._refuse_overloaded(request, flow, wait_s)
        if flow.mutual and request.via.params.has("alias"):
            self.network.alias(flow, request.via.port or DEFAULT_PORTS["tls"])
        transaction = ServerTransaction(self, key, request, flow)
        self.servers.enter(key, transaction)
        try:
            self._dispatch(transaction, leg)
        except ParseError as error:  # in a header that is parsed only where it is used
            transaction.reply(error.status)
        except Exception:
            log.exception("request not handled", method=request.method)
            if not transaction.answered:
                transaction.reply(500)

    def _refuse_overloaded(self, request: Request, flow: Flow, wait_s: int) -> None:
        """503 without a transaction (§21.5.4): a retransmission gets the same again, no state is kept."""
        response = request.reply(503, to_tag=self.ids.tag())
        response.headers.add("Retry-After", str(wait_s))
        with suppress(TransportFailed):
            self.emit(flow, response)

    def _dispatch(self, transaction: ServerTransaction, leg: DialogOwner | None) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._cancel(transaction)
        elif request.method not in KNOWN_METHODS:
            transaction.reply(501, [("Allow", ALLOW)])
        elif refused := refusal(request, UNDERSTOOD if request.method != "REGISTER" else REGISTERING):
            transaction.reply(*refused)
        elif leg is not None:
            leg.receive(transaction)
        elif request.to_tag or request.method in ("BYE", "UPDATE", "NOTIFY", "PRACK", "INFO"):
            transaction.reply(481)
        else:
            self._dispatch_initial(transaction)

    def _dispatch_initial(self, transaction: ServerTransaction) -> None:
        """Handle a request outside any dialog."""
        request, target = transaction.request, transaction.request.target
        self.advertised.learn(request, transaction.flow)
        if target.scheme not in ("sip", "sips", "tel") and not is_emergency(request):
            transaction.reply(416)
        elif target.headers:
            transaction.reply(400)  # §19.1.5: a Request-URI must not contain headers
        elif request.max_forwards == 0 and request.method != "OPTIONS":
            transaction.reply(483)  # an OPTIONS is addressed to us and not forwarded anyway (§11)
        elif self.authenticated_peers.handle(transaction):
            return
        elif is_loop(request, self.advertised.host, self.advertised.ports):
            transaction.reply(482)  # §16.3: our own request, looped back
        elif not self._merged_requests.is_first(transaction.key, request):
            transaction.reply(482)  # §8.2.2.2: the same request arrived over two paths
        elif request.method == "INVITE":
            self._invited(transaction)
        elif request.method == "OPTIONS":
            transaction.reply(503 if self.draining else 200, capabilities())  # §11.2: as for an INVITE
        elif request.method == "REFER":
            transaction.reply(603)  # only the agent, inside its dialog, may transfer a call
        else:
            transaction.reply(405, [("Allow", ALLOW)])

    def _cancel(self, cancel: ServerTransaction) -> None:
        """RFC 3261 §9.2: 200 to the CANCEL itself, and 487 to the INVITE if it has no final response yet."""
        invite = self.servers.get(invite_key_of(cancel.request))
        if not isinstance(invite, ServerTransaction | AcceptedByUs):
            return cancel.reply(481)
        cancel.tag = invite.tag  # §9.2: the same as in the answer to the INVITE
        cancel.reply(200)
        if not invite.answered:
            invite.cancelled(cancel.request)

    def _reply_to_malformed(self, flow: Flow, error: ParseError) -> None:
        """Respond to a known peer's malformed request, if enough of it could be read (§8.2, §21.4.1)."""
        request = error.partial
        if request is None or request.method == "ACK":
            return
        try:
            add_source(request, flow)
            response = request.reply(error.status, to_tag=self.ids.tag())
            if error.status == 501:
                response.headers.add("Allow", ALLOW)
            self.emit(flow, response)
        except (ParseError, TransportFailed, ValueError):
            log.debug("malformed request not answered", source=flow.remote[0])

    def _via(self, flow: Flow, branch: str) -> str:
        sent_by = self.advertised.towards(flow)
        alias = ";alias" if flow.mutual else ""  # RFC 5923 §5: only if both ends have shown a certificate
        return f"SIP/2.0/{flow.transport.upper()} {sent_by};branch={branch};rport{alias}"

    def _trace(self, direction: str, flow: Flow, message: Message) -> None:
        for trace in self.traces:
            trace(direction, flow, message)
