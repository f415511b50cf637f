"""The registrar of the user's own phones (RFC 3261 §10.3), who are known by their passwords alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog

from proxy.sip.digest_server import Verdict
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.values import NameAddr
from proxy.transport.flow import Flow, TransportFailed
from proxy.ua.authenticated_peers import Meeting
from proxy.ua.bindings import Binding, Unregistrable, updated
from proxy.ua.challenger import Challenger
from proxy.ua.gate import Gate
from proxy.ua.new_contacts import Arrivals
from proxy.ua.transactions import ServerTransaction

log = structlog.get_logger("screendoor")

FLOW_TIMER_S = 120
"""How often a phone is to send a keep-alive at least (RFC 5626 §5.4), for the NATs on its way."""
TICK_S = 25.0
"""How often phones behind UDP hear a keep-alive: NATs forget a way in 30 s. What expired goes then, too, and
connections that have no phone any more."""
PING = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that may register."""

    name: str
    """The user of its address-of-record, and its user name."""
    password: str = field(repr=False)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where it may register from; empty for anywhere."""

    def may_be_at(self, host: str) -> bool:
        if not self.networks:
            return True
        with suppress(ValueError):
            address = ip_address(host)
            return any(address in network for network in self.networks)
        return False


class Registrar:
    """Keeps where each phone is. A door: the flow that a phone registers over is known from then on.

    Whoever is no trunk gets an answer only if it asks for a phone that is configured; a name that is not is
    met with the same silence as everything else.
    """

    def __init__(
        self,
        gate: Gate,
        challenger: Challenger,
        phones: Iterable[Phone],
        needs: Callable[[Flow], bool] = lambda flow: True,
    ) -> None:
        """`needs`: whether a connection is of use, though no phone is registered over it any more."""
        self.arrivals = Arrivals()
        self._needs = needs
        self._left: set[Flow] = set()
        """Connections that phones are registered over no more; nobody else counts them."""
        self._gate, self._challenger = gate, challenger
        self._phones = {phone.name: phone for phone in phones}
        self._bindings: dict[str, list[Binding]] = {name: [] for name in self._phones}
        self._flows: set[Flow] = set()
        self._ticking: asyncio.TimerHandle | None = None
        self._judged: tuple[Request, Verdict, int | None] | None = None
        """The request just let in, what its credentials are worth (they serve once), and in how many bytes it
        is to be refused.
        """

    def reachable(self, name: str) -> Sequence[Binding]:
        """Where a phone can be called now, the preferred contact first."""
        now = _now()
        living = [
            each for each in self._bindings.get(name, ()) if each.expires_at > now and not each.flow.closed
        ]
        return sorted(living, key=lambda each: -each.preference)

    def told(self) -> dict[str, int]:
        """How many contacts each phone has, by its name."""
        return {name: len(self.reachable(name)) for name in self._phones}

    def close(self) -> None:
        """Forget every phone."""
        for name in self._bindings:
            self._bindings[name] = []
        self._flows, self._left = set(), set()
        self._changed()

    # The door.

    def knows(self, flow: Flow) -> bool:
        return flow in self._flows

    def trunk(self, flow: Flow) -> str | None:
        return None  # phones are none

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        phone = self._named(request)
        if phone is None or not phone.may_be_at(flow.remote[0]) or not self._challenger.allows(flow):
            return Meeting.IGNORED
        if request.method != "REGISTER":
            return Meeting.SEEN_TO  # by silence, as with strangers
        verdict = self._judge(request, flow, phone)
        if verdict is Verdict.MISSING:
            return self._challenger.meet(request, flow, size_bytes)
        if verdict is Verdict.REFUSED and self._challenger.exhausted:
            self._challenger.failed(flow, phone.name)
            return Meeting.SEEN_TO
        self._judged = request, verdict, None if flow.reliable else size_bytes
        return Meeting.LET_IN

    def unproven(self, request: Request, flow: Flow) -> bool:
        return False

    def takes(self, transaction: ServerTransaction) -> bool:
        request, flow = transaction.request, transaction.flow
        if request.method == "REGISTER":
            self._register(transaction)
        elif request.method == "INVITE" and flow in self._flows and not self._gate.admits(flow):
            names = [name for name, bound in self._bindings.items() if any(b.flow == flow for b in bound)]
            log.warning("phone may not call out", phone=names[0], why="phones are called, and call nobody")
            transaction.reply(403)
        else:
            return False
        return True

    def lost(self, flow: Flow) -> None:
        """RFC 5626 §5.3: what was registered over a connection is gone with it."""
        if flow in self._flows:
            for name, bound in self._bindings.items():
                self._keep(name, [each for each in bound if each.flow != flow], "its connection is gone")

    # A REGISTER.

    def _judge(self, request: Request, flow: Flow, phone: Phone) -> Verdict:
        return self._challenger.judge(request, flow, phone.name, phone.password)

    def _named(self, request: Request) -> Phone | None:
        """The phone that a stranger's request claims to come from.

        One that does not know yet that we were started anew goes on with its OPTIONS or SUBSCRIBE, each of
        them eleven times as nothing is answered (§17.1.2.2): held against it, that would bar its REGISTER.
        """
        if request.method in ("INVITE", "ACK"):  # phones call nobody
            return None
        return self._meant(request) if request.method == "REGISTER" else self._phone(request.sender)

    def _meant(self, request: Request) -> Phone | None:
        """The phone whose address-of-record stands in To."""
        return self._phone(request.to)

    def _phone(self, party: NameAddr) -> Phone | None:
        return self._phones.get(party.uri.user or "")

    def _register(self, transaction: ServerTransaction) -> None:
        """§10.3, steps 3 to 8."""
        phone, request = self._meant(transaction.request), transaction.request
        if phone is None or not phone.may_be_at(transaction.flow.remote[0]):
            return transaction.reply(404)  # to a trunk; nobody else gets as far as here
        judged, self._judged = self._judged, None
        if judged is None or judged[0] is not request:  # of a peer that was known already
            judged = request, self._judge(request, transaction.flow, phone), None
        match judged[1]:
            case Verdict.MISSING:
                self._challenger.ask(transaction)
            case Verdict.STALE:
                self._challenger.ask(transaction, stale=True)
            case Verdict.REFUSED:
                self._challenger.deny(transaction, phone.name, judged[2])
            case Verdict.ACCEPTED:
                self._challenger.accept(transaction.flow)
                self._bind(phone, transaction)

    def _bind(self, phone: Phone, transaction: ServerTransaction) -> None:
        request, now = transaction.request, _now()
        try:
            bindings = updated(self._bindings[phone.name], request, transaction.flow, now)
        except Unregistrable as refusal:
            log.info("registration refused", phone=phone.name, status=refusal.status, why=str(refusal))
            return transaction.reply(refusal.status, refusal.headers)
        except ParseError as error:
            return transaction.reply(error.status)
        self._keep(phone.name, bindings, "as it wished")
        headers = [("Contact", each.shown(now)) for each in bindings]
        if any(each.outbound and each.flow == transaction.flow for each in bindings):
            headers += [("Require", "outbound"), ("Flow-Timer", str(FLOW_TIMER_S))]  # RFC 5626 §6
        transaction.reply(200, [*headers, ("Supported", "outbound")])
        self.arrivals.tell(phone.name)

    # What is kept.

    def _keep(self, name: str, bindings: list[Binding], why: str) -> None:
        """These are the bindings of a phone from now on."""
        before, self._bindings[name] = self._bindings[name], bindings
        for each in bindings:
            if not any(each.replaces(old) and each.flow == old.flow for old in before):
                log.info(
                    "phone registered", phone=name, transport=each.flow.transport, contacts=len(bindings)
                )
        for old in before:
            if not any(old.replaces(each) for each in bindings):
                log.info("phone unregistered", phone=name, contacts=len(bindings), why=why)
        self._changed()

    def _changed(self) -> None:
        before = self._flows
        self._flows = {each.flow for bound in self._bindings.values() for each in bound}
        self._left |= {flow for flow in before if flow.reliable}
        self._left = {flow for flow in self._left if not flow.closed and flow not in self._flows}
        waiting = bool(self._flows or self._left)
        if not waiting and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        elif waiting and self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Let go what has expired; keep the ways through NATs open."""
        self._ticking = None
        now = _now()
        for name, bound in self._bindings.items():
            living = [each for each in bound if each.expires_at > now and not each.flow.closed]
            if len(living) < len(bound):
                self._keep(name, living, "it was not heard of again")
        for flow in self._flows:
            if not flow.reliable:
                with suppress(TransportFailed):
                    flow.send(PING)
        for flow in self._left:
            if not self._gate.admits(flow) and not self._needs(flow):
                flow.close()
        self._changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
