"""Dialog: the lasting relation of two user agents (RFC 3261 §12)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.value_cache import LONGEST_KEPT
from proxy.sip.values import NameAddr, cseq, made, tag_of

TARGET_REFRESH = frozenset({"INVITE", "UPDATE"})
"""Requests whose Contact becomes the remote target (§12.2, RFC 3311 §5.1)."""

_HOPS = ("Max-Forwards", "70")
_CREDENTIALS = (("Authorization", "authorization"), ("Proxy-Authorization", "proxy-authorization"))


class DialogId(NamedTuple):
    """What tells dialogs apart, seen from our end (§12)."""

    call_id: str
    local_tag: str
    """Empty when the message is not yet in a dialog."""
    remote_tag: str
    """Empty for a peer of RFC 2543, which sends none (§12.1.1)."""

    @classmethod
    def of_request(cls, request: Request) -> DialogId:
        """The dialog that a request received belongs to: our tag stands in To."""
        first = request.headers.first
        return made(cls, (first["call-id"], tag_of(first["to"]) or "", tag_of(first["from"]) or ""))

    @classmethod
    def of_response(cls, response: Response) -> DialogId:
        """The dialog that a response received belongs to: our tag stands in From."""
        first = response.headers.first
        return made(cls, (first["call-id"], tag_of(first["from"]) or "", tag_of(first["to"]) or ""))


class Dialog:
    """One end of a dialog: who, where to, by which route, and which numbers come next.

                 1xx with To tag            confirm(2xx)
        (none) -----------------> early ------------------> confirmed
           |                                                    ^
           +------------------------2xx-------------------------+

    How a dialog ends is the business of its usages (RFC 5057); a Dialog is then simply let go.
    URIs and routes are kept as the peer wrote them, byte by byte: SignalWire's Contact carries a
    parameter of its own, and its Record-Routes an `r2=on`, without which its proxies lose the way.
    """

    __slots__ = (
        "_ends", "_refreshed_by", "_written", "confirmed", "id", "local_cseq", "remote_cseq", "route_set",
        "sent_cseq", "target",
    )  # fmt: skip

    def __init__(
        self,
        id: DialogId,
        local: str,
        remote: str,
        target: str,
        route_set: tuple[str, ...],
        local_cseq: int,
        remote_cseq: int | None,
        confirmed: bool,
    ) -> None:
        self.id = id
        self._ends = local, remote
        """From and To of our requests: as they came at first, as we write them from the first request on."""
        self._written = False
        self.target = target
        """The URI of the peer's Contact, as sent (§12: remote target)."""
        self.route_set = route_set
        """Name-addrs as sent, nearest hop first from our end."""
        self.local_cseq = local_cseq
        """Number of the last request we sent; 0 before the first, the owner may begin higher."""
        self.sent_cseq = 0
        """Number of the last request that is on its way: requests leave in the order of their numbers."""
        self.remote_cseq = remote_cseq
        """Number of the last request of the peer; None before the first."""
        self._refreshed_by = 0
        """Number of the last request of the peer whose Contact became the target."""
        self.confirmed = confirmed

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> Dialog:
        """The dialog that a 101-299 to our request makes (§12.1.2); raises ParseError."""
        asked, answered = request.headers.first, response.headers.first
        return cls(
            DialogId.of_response(response),
            asked["from"],
            answered["to"],
            _contact(response) or request.uri,  # a 1xx without Contact must not cost the call
            _route_set(response, reverse=True) if "record-route" in answered else (),
            cseq(asked["cseq"]).number,
            None,
            response.status >= 200,
        )

    @classmethod
    def as_uas(cls, request: Request, response: Response) -> Dialog:
        """The dialog that our 101-299 to a request makes (§12.1.1); raises ParseError.

        A request without Contact leaves us no target: it is refused with 400.
        """
        asked, to = request.headers.first, response.headers.first["to"]
        target = _contact(request)
        if target is None:
            raise ParseError(f"{request.method} has no Contact")
        return cls(
            made(DialogId, (asked["call-id"], tag_of(to) or "", tag_of(asked["from"]) or "")),
            to,
            asked["from"],
            target,
            _route_set(request, reverse=False) if "record-route" in asked else (),
            0,
            cseq(asked["cseq"]).number,
            response.status >= 200,
        )

    @property
    def local(self) -> NameAddr:
        """Our From in requests, with our tag."""
        return _presentable(NameAddr.parse(self._ends[0]))

    @property
    def remote(self) -> NameAddr:
        """Our To in requests, with the peer's tag."""
        return _presentable(NameAddr.parse(self._ends[1]))

    @property
    def next_hop(self) -> str:
        """Where requests are sent to: the first route, loose or strict, else the target (§8.1.2)."""
        return NameAddr.parse(self.route_set[0]).raw_uri if self.route_set else self.target

    def confirm(self, response: Response) -> None:
        """A 2xx has come in or gone out; ours confirms, the peer's also refreshes the target.

        The peer's first one replaces the route set that its 1xx gave (§13.2.2.4); later ones, for a
        re-INVITE or UPDATE, leave it as it is (§12.2). Raises ParseError, and then changes nothing.
        """
        first = response.headers.first
        if (tag_of(first["from"]) or "") == self.id.local_tag:
            target = _contact(response)
            if not self.confirmed:
                self.route_set = _route_set(response, reverse=True) if "record-route" in first else ()
            if target is not None:
                self.target = target
        self.confirmed = True

    def request(self, method: str, *more: tuple[str, str]) -> Request:
        """The next request of this dialog, without Via and Contact (§12.2.1.1), with these headers beside."""
        self.local_cseq += 1
        return self._compose(method, self.local_cseq, more)

    def ack(self, invite: Request) -> Request:
        """The ACK for a 2xx to this INVITE of ours: its number and its credentials (§13.2.2.4)."""
        ack = self._compose("ACK", cseq(invite.headers.first["cseq"]).number)
        _take_credentials(ack.headers, invite.headers)
        return ack

    def receive(self, request: Request) -> None:
        """Take note of a request of the peer (§12.2.2); raises ParseError(500) if it is out of order.

        An ACK or CANCEL carries the number of its INVITE, so it is never out of order.
        """
        if request.method in ("ACK", "CANCEL"):
            return
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise ParseError(f"CSeq number out of order: {number} after {self.remote_cseq}", 500)
        if request.method in TARGET_REFRESH:
            _contact(request)  # refused here, not when it is accepted
        self.remote_cseq = number

    def accepted(self, request: Request) -> None:
        """Our 2xx to a request that refreshes the target goes out: its Contact is the target from now on.

        One that we refuse changes nothing (RFC 6141 §4), nor does one that a later one has overtaken.
        """
        number, target = request.cseq.number, _contact(request)
        if target is not None and number >= self._refreshed_by:
            self.target, self._refreshed_by = target, number

    def _compose(self, method: str, number: int, more: tuple[tuple[str, str], ...] = ()) -> Request:
        if not self._written:  # many a dialog sends nothing, none changes who its ends are
            local, remote = self._ends
            self._ends = _as_written(local, self.id.local_tag), _as_written(remote, self.id.remote_tag)
            self._written = True
        from_, to = self._ends
        call_id, cseq = self.id.call_id, f"{number} {method}"
        if self.route_set:
            uri, routes = self._path()
            ends = ("From", from_), ("To", to), ("Call-ID", call_id), ("CSeq", cseq)
            headers = Headers([_HOPS, *[("Route", route) for route in routes], *ends])
        else:
            uri = self.target
            headers = Headers.written(
                f"Max-Forwards: 70\r\nFrom: {from_}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}",
                {"max-forwards": "70", "from": from_, "to": to, "call-id": call_id, "cseq": cseq},
            )
        if more:
            headers.extend(more)
        return Request(method, uri, headers)

    def _path(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route values by the route set, where there is one (§12.2.1.1)."""
        first = NameAddr.parse(self.route_set[0])
        if first.uri.loose:
            return self.target, self.route_set
        return _as_request_uri(first), (*self.route_set[1:], f"<{self.target}>")


class Essence(NamedTuple):
    """Of an INVITE of ours: what its dialogs and their ACKs are made of."""

    uri: str
    sender: str
    number: int
    credentials: tuple[tuple[str, str], ...]

    @property
    def invite(self) -> Request:
        """One of which the same comes."""
        lines = (("From", self.sender), ("CSeq", f"{self.number} INVITE"), *self.credentials)
        return Request("INVITE", self.uri, Headers(lines))


def _take_credentials(headers: Headers, others: Headers) -> None:
    for name, key in _CREDENTIALS:
        if key in others.first:
            headers.take(others, name)


def _as_written(end: str, tag: str) -> str:
    """One end of the dialog in requests of ours, from how it came; `tag`: of that end."""
    if end[:1] == "<" and end[-1] != ";" and " " not in end and "\t" not in end:
        return end  # no name, and nothing that we would leave out
    mark = f">;tag={tag}"
    if len(end) > LONGEST_KEPT or not end.endswith(mark):
        return str(_presentable(NameAddr.parse(end)))
    written = f"{_presented(end.removesuffix(mark) + '>')};tag={tag}"
    return end if written == end else written  # it is kept elsewhere already


@lru_cache(maxsize=1024)
def _presented(address: str) -> str:
    """Tags are new in every call, people and their addresses are not: those are written but once."""
    return str(_presentable(NameAddr.parse(address)))


def _presentable(address: NameAddr) -> NameAddr:
    """Less a display name that is no text in UTF-8: we take such a one, and write none ourselves (§25.1)."""
    if address.display is None or address.display.isprintable():
        return address
    return replace(address, display=None)


def _contact(message: Request | Response) -> str | None:
    contact = message.contact
    return contact.raw_uri if contact else None


def _route_set(message: Request | Response, *, reverse: bool) -> tuple[str, ...]:
    routes = message.headers.split("Record-Route")
    for route in routes:
        NameAddr.parse(route)  # refused here, not when the first request is made
    return tuple(reversed(routes) if reverse else routes)


def _as_request_uri(route: NameAddr) -> str:
    """The URI without what a Request-URI must not have: a method parameter and headers (§19.1.1)."""
    uri = route.uri
    if uri.headers or uri.params.has("method"):
        return str(replace(uri, headers="", params=uri.params.without("method")))
    return route.raw_uri
