"""Bindings of a registered phone, and how a REGISTER updates them (RFC 3261 §10.3, RFC 5626 §6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.sip.errors import ParseError
from proxy.sip.grammar import number
from proxy.sip.message import Request
from proxy.sip.uri import Params
from proxy.sip.values import NameAddr
from proxy.transport.flow import Flow

MAX_CONTACTS = 10
"""Of one phone. One more replaces the other one that would expire first."""
DEFAULT_EXPIRES_S, LONGEST_EXPIRES_S, SHORTEST_EXPIRES_S = 3600, 3600, 60
LONGEST_OVER_UDP_S = 300
"""Shorter over UDP, where a phone does not notice our restart or its NAT's.

It cannot ring until it registers again by itself. Over TCP or TLS it loses its connection and registers again
at once.
"""

_MAX_SECONDS = 2**32 - 1


class Unregistrable(ParseError):
    """A REGISTER that has to be refused, with `status` and `headers`."""

    def __init__(self, message: str, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message, status)
        self.headers = tuple(headers)


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of a phone, and the flow that leads there."""

    contact: NameAddr
    flow: Flow
    """The flow it registered over; behind a NAT the phone is reachable over no other."""
    call_id: str
    cseq: int
    expires_at: float
    """Loop time."""
    registered_at: float = 0.0
    """Loop time of the REGISTER that made it."""

    @property
    def uri(self) -> str:
        """The Request-URI for requests to it, which must not contain headers (RFC 3261 §19.1.1)."""
        return self.contact.raw_uri.removesuffix(f"?{self.contact.uri.headers}")

    @property
    def outbound(self) -> tuple[str, str] | None:
        """Instance-id and reg-id; if present they identify the binding in place of its URI (RFC 5626 §6)."""
        instance, reg_id = self.contact.params.get("+sip.instance"), self.contact.params.get("reg-id")
        return (instance, reg_id) if instance and reg_id else None

    @property
    def preference(self) -> float:
        """The q value, 0 to 1; 1 if absent or unreadable (§20.10)."""
        try:
            return min(max(float(self.contact.params.get("q") or "1"), 0.0), 1.0)
        except ValueError:
            return 1.0

    def contact_value(self, now: float) -> str:
        """The Contact value in a 200 (§10.3 step 8)."""
        kept = tuple(item for item in self.contact.params if item[0] in ("q", "+sip.instance", "reg-id"))
        left = Params((*kept, ("expires", str(max(round(self.expires_at - now), 0)))))
        return str(NameAddr(None, self.contact.uri, left, self.contact.raw_uri))

    def made_by(self, request: Request) -> bool:
        """Whether this REGISTER made it. Its contacts take precedence over older ones."""
        return (self.call_id, self.cseq) == (request.call_id, request.cseq.number)

    def replaces(self, other: Binding) -> bool:
        if self.outbound is not None or other.outbound is not None:
            return self.outbound == other.outbound
        return self.contact.uri.matches(other.contact.uri)

    def same_device(self, other: Binding) -> bool:
        """Whether both certainly belong to one device; a Call-ID lasts until it restarts (RFC 3261 §10.2)."""
        instance = self.contact.params.get("+sip.instance")
        same = instance is not None and instance == other.contact.params.get("+sip.instance")
        return same or self.call_id == other.call_id or self.replaces(other)

    def another_way_to(self, other: Binding) -> bool:
        """Whether both are flows that one instance registered by its reg-ids (RFC 5626 §4.2)."""
        own, its = self.outbound, other.outbound
        return own is not None and its is not None and own[0] == its[0]

    def superseded_by(self, other: Binding) -> bool:
        """Whether the same device registered the other one later; contacts of one REGISTER all stand."""
        return self.registered_at < other.registered_at and self.same_device(other)


def newest_per_device(bindings: Sequence[Binding]) -> Sequence[Binding]:
    """The newest bindings of each device: it must ring once, not at every contact it left (RFC 5626 §7)."""
    if len(bindings) < 2:
        return bindings
    return [each for each in bindings if not any(each.superseded_by(other) for other in bindings)]


def updated(bindings: Iterable[Binding], request: Request, flow: Flow, now: float) -> list[Binding]:
    """The bindings of a phone after a REGISTER, applied completely or not at all. Raises ParseError."""
    bindings = [each for each in bindings if each.expires_at > now]
    contacts = request.headers.split("Contact")
    if "*" in contacts:
        if len(contacts) > 1 or _seconds(request.headers.get("Expires")) != 0:
            raise Unregistrable("Contact: * is for Expires: 0 alone", 400)
        for binding in bindings:
            _in_order(binding, request)
        return []
    if len(contacts) > MAX_CONTACTS:  # compared pairwise: thousands would block the event loop
        raise Unregistrable("more contacts than a phone may have", 400)
    for wanted in _wanted(contacts, request, flow, now):
        for binding in bindings:
            if wanted.replaces(binding):
                _in_order(binding, request)
        bindings = [each for each in bindings if not wanted.replaces(each)]
        if wanted.expires_at > now:
            bindings.append(wanted)
    bindings.sort(key=lambda each: (each.made_by(request), each.expires_at))
    return bindings[-MAX_CONTACTS:]


def _wanted(contacts: Sequence[str], request: Request, flow: Flow, now: float) -> list[Binding]:
    common = request.headers.get("Expires")
    longest_s = LONGEST_EXPIRES_S if flow.reliable else LONGEST_OVER_UDP_S
    wanted = []
    for value in contacts:
        contact = NameAddr.parse(value)
        if contact.uri.scheme not in ("sip", "sips"):
            raise Unregistrable("a Contact that cannot be called", 400)
        expires = _seconds(contact.params.get("expires") or common)
        if 0 < expires < SHORTEST_EXPIRES_S:  # §10.3 step 7
            raise Unregistrable("too brief", 423, [("Min-Expires", str(SHORTEST_EXPIRES_S))])
        expires_at = now + min(expires, longest_s)
        wanted.append(Binding(contact, flow, request.call_id, request.cseq.number, expires_at, now))
    if any(each.outbound for each in wanted):
        if len(wanted) > 1:
            raise Unregistrable("a reg-id among several Contacts", 400)
        if len(request.vias) > 1:  # RFC 5626 §6: the flow would be that of a proxy
            raise Unregistrable("outbound through a proxy", 439)
    return wanted


def _seconds(text: str | None) -> int:
    """An unreadable value counts as one hour (§10.2.1.1)."""
    if text is None:
        return DEFAULT_EXPIRES_S
    try:
        return number(text.strip(), "expires", _MAX_SECONDS)
    except ParseError:
        return DEFAULT_EXPIRES_S


def _in_order(binding: Binding, request: Request) -> None:
    """§10.3 step 7: within one Call-ID, only a higher CSeq may change a binding."""
    if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
        raise Unregistrable("out of order", 500)
