"""The registrar for the user's own phones (RFC 3261 §10.3), which are identified by digest alone."""

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
from proxy.ua.authenticated_peers import AuthResult
from proxy.ua.bindings import Binding, Unregistrable, updated
from proxy.ua.challenger import Challenger
from proxy.ua.gate import Gate
from proxy.ua.guess_limit import Guesser, GuessLimit
from proxy.ua.new_contacts import NewContacts
from proxy.ua.transactions import ServerTransaction

log = structlog.get_logger("screendoor")

FLOW_TIMER_S = 120
"""Keep-alive interval asked of phones (RFC 5626 §5.4), for the NATs on the path."""
TICK_S = 25.0
"""Interval of upkeep: keep-alives to phones over UDP, and removal of what has expired.

NATs drop a mapping in 30 s. Unused connections are closed then as well.
"""
PING = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that may register."""

    name: str
    """The user part of its address-of-record, and its digest user name."""
    password: str = field(repr=False)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where it may register from; empty: anywhere."""

    def may_be_at(self, host: str) -> bool:
        if not self.networks:
            return True
        with suppress(ValueError):
            address = ip_address(host)
            return any(address in network for network in self.networks)
        return False


class Registrar:
    """Keeps the bindings of each phone, and admits the flows that phones are registered over.

    A stranger gets a response only for a configured phone; for any other name, silence as for everything
    else.
    """

    def __init__(
        self,
        gate: Gate,
        challenger: Challenger,
        phones: Iterable[Phone],
        needs: Callable[[Flow], bool] = lambda flow: True,
        trunk: Callable[[Flow], str | None] = lambda flow: None,
    ) -> None:
        """`needs`: whether a connection that no phone is registered over any more is used otherwise.

        `trunk`: the trunk that the peer of a flow has proved to be.
        """
        self.new_contacts = NewContacts()
        self._needs, self._trunk_at = needs, trunk
        self._unused_flows: set[Flow] = set()
        """Connections without a registered phone any more, to be closed unless used otherwise."""
        self._gate, self._challenger = gate, challenger
        self._phones = {phone.name: phone for phone in phones}
        self._bindings: dict[str, list[Binding]] = {name: [] for name in self._phones}
        self._flows: set[Flow] = set()
        self._guess_limit = GuessLimit()
        self._ticking: asyncio.TimerHandle | None = None
        self._pending_verdict: tuple[Request, Verdict, int | None] | None = None
        """The REGISTER just let in, the verdict on its credentials, and the size limit of a refusal in bytes.

        The verdict is kept because credentials are valid only once.
        """

    def reachable(self, name: str) -> Sequence[Binding]:
        """The live contacts of a phone, the preferred one first."""
        now = _now()
        living = [
            each for each in self._bindings.get(name, ()) if each.expires_at > now and not each.flow.closed
        ]
        return sorted(living, key=lambda each: -each.preference)

    def contact_counts(self) -> dict[str, int]:
        """The number of live contacts of each phone, by name."""
        return {name: len(self.reachable(name)) for name in self._phones}

    def close(self) -> None:
        """Remove every binding."""
        for name in self._bindings:
            self._bindings[name] = []
        self._flows, self._unused_flows = set(), set()
        self._changed()

    # As an `Authenticator`.

    def knows(self, flow: Flow) -> bool:
        return flow in self._flows

    def trunk(self, flow: Flow) -> str | None:
        return None  # a phone is not a trunk

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        phone = self._claimed_phone(request)
        if phone is None or not phone.may_be_at(flow.remote[0]) or not self._challenger.allows(flow):
            return AuthResult.IGNORED
        if request.method != "REGISTER":
            return AuthResult.HANDLED  # without a response, as for strangers
        verdict = self._judge(request, flow, phone)
        if verdict is Verdict.MISSING:
            return self._challenger.challenge_stranger(request, flow, size_bytes)
        if verdict is Verdict.REFUSED and self._challenger.exhausted:
            self._challenger.failed(flow, phone.name)
            return AuthResult.HANDLED
        self._pending_verdict = request, verdict, None if flow.reliable else size_bytes
        return AuthResult.ADMITTED

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        return False

    def handle(self, transaction: ServerTransaction) -> bool:
        request, flow = transaction.request, transaction.flow
        if request.method == "REGISTER":
            self._register(transaction)
        elif request.method == "INVITE" and flow in self._flows and not self._gate.admits(flow):
            log.warning(
                "phone may not call out",
                phone=self._names_at(flow)[0],
                why="phones are called, and call nobody",
            )
            transaction.reply(403)
        else:
            return False
        return True

    def lost(self, flow: Flow) -> None:
        """RFC 5626 §5.3: bindings made over a connection end with it."""
        if flow in self._flows:
            for name, bound in self._bindings.items():
                self._replace_bindings(
                    name, [each for each in bound if each.flow != flow], "its connection is gone"
                )

    # Handling a REGISTER.

    def _judge(self, request: Request, flow: Flow, phone: Phone) -> Verdict:
        return self._challenger.judge(request, flow, phone.name, phone.password)

    def _claimed_phone(self, request: Request) -> Phone | None:
        """The phone that a stranger's request claims to come from.

        A phone that has not noticed our restart sends its OPTIONS or SUBSCRIBE, each eleven times while
        unanswered (§17.1.2.2). If those counted against it, its REGISTER would be barred.
        """
        if request.method in ("INVITE", "ACK"):  # phones may not call out
            return None
        return self._addressed_phone(request) if request.method == "REGISTER" else self._phone(request.sender)

    def _addressed_phone(self, request: Request) -> Phone | None:
        """The phone whose address-of-record is in To."""
        return self._phone(request.to)

    def _phone(self, party: NameAddr) -> Phone | None:
        return self._phones.get(party.uri.user or "")

    def _register(self, transaction: ServerTransaction) -> None:
        """RFC 3261 §10.3, steps 3 to 8."""
        phone, request = self._addressed_phone(transaction.request), transaction.request
        if phone is None or not phone.may_be_at(transaction.flow.remote[0]):
            return transaction.reply(404)  # only a trunk gets here
        guessers = self._guessers(transaction.flow, phone)
        if self._guess_limit.is_reached(guessers, _now()):
            return transaction.reply(403)  # unread: the password may be right
        judged, self._pending_verdict = self._pending_verdict, None
        if judged is None or judged[0] is not request:  # from a flow that was already known
            judged = request, self._judge(request, transaction.flow, phone), None
        match judged[1]:
            case Verdict.MISSING:
                self._challenger.challenge(transaction)
            case Verdict.STALE:
                self._challenger.challenge(transaction, stale=True)
            case Verdict.REFUSED:
                self._guess_limit.add(guessers, phone.name, _now())
                self._challenger.deny(transaction, phone.name, judged[2])
            case Verdict.ACCEPTED:
                self._challenger.accept(transaction.flow)
                self._bind(phone, transaction)

    def _guessers(self, flow: Flow, phone: Phone) -> list[Guesser]:
        """The peers known by this flow, unless the phone is one of them."""
        if names := self._names_at(flow):
            return [] if phone.name in names else [("phone", name) for name in names]
        trunk = self._trunk_at(flow)
        return [] if trunk is None else [("trunk", trunk)]

    def _names_at(self, flow: Flow) -> list[str]:
        """The phones that are registered over this flow."""
        if flow not in self._flows:
            return []
        return [name for name, bound in self._bindings.items() if any(each.flow == flow for each in bound)]

    def _bind(self, phone: Phone, transaction: ServerTransaction) -> None:
        request, now = transaction.request, _now()
        try:
            bindings = updated(self._bindings[phone.name], request, transaction.flow, now)
        except Unregistrable as refusal:
            log.info("registration refused", phone=phone.name, status=refusal.status, why=str(refusal))
            return transaction.reply(refusal.status, refusal.headers)
        except ParseError as error:
            return transaction.reply(error.status)
        self._replace_bindings(phone.name, bindings, "as it wished")
        headers = [("Contact", each.contact_value(now)) for each in bindings]
        if any(each.outbound and each.flow == transaction.flow for each in bindings):
            headers += [("Require", "outbound"), ("Flow-Timer", str(FLOW_TIMER_S))]  # RFC 5626 §6
        transaction.reply(200, [*headers, ("Supported", "outbound")])
        self.new_contacts.notify(phone.name)

    # Bindings and their upkeep.

    def _replace_bindings(self, name: str, bindings: list[Binding], why: str) -> None:
        """Replace the bindings of a phone, and log the difference."""
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
        self._unused_flows |= {flow for flow in before if flow.reliable}
        self._unused_flows = {
            flow for flow in self._unused_flows if not flow.closed and flow not in self._flows
        }
        waiting = bool(self._flows or self._unused_flows)
        if not waiting and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        elif waiting and self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Remove what has expired; send keep-alives; close unused connections."""
        self._ticking = None
        now = _now()
        for name, bound in self._bindings.items():
            living = [each for each in bound if each.expires_at > now and not each.flow.closed]
            if len(living) < len(bound):
                self._replace_bindings(name, living, "it was not heard of again")
        for flow in self._flows:
            if not flow.reliable:
                with suppress(TransportFailed):
                    flow.send(PING)
        for flow in self._unused_flows:
            if not self._gate.admits(flow) and not self._needs(flow):
                flow.close()
        self._changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
