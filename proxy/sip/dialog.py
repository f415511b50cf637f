"""Dialog: the peer-to-peer relationship between two user agents (RFC 3261 §12)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.value_cache import MAX_CACHED_CHARS
from proxy.sip.values import NameAddr, new_tuple, parse_cseq, tag_of

TARGET_REFRESH = frozenset({"INVITE", "UPDATE"})
"""Requests whose Contact becomes the remote target (§12.2, RFC 3311 §5.1)."""

_HOPS = ("Max-Forwards", "70")
_CREDENTIALS = (("Authorization", "authorization"), ("Proxy-Authorization", "proxy-authorization"))


class DialogId(NamedTuple):
    """Identifies a dialog, seen from our end (§12)."""

    call_id: str
    local_tag: str
    """Empty if the message is not in a dialog yet."""
    remote_tag: str
    """Empty for an RFC 2543 peer, which sends none (§12.1.1)."""

    @classmethod
    def of_request(cls, request: Request) -> DialogId:
        """The dialog of a received request: our tag is in To."""
        first = request.headers.first
        return new_tuple(cls, (first["call-id"], tag_of(first["to"]) or "", tag_of(first["from"]) or ""))

    @classmethod
    def of_response(cls, response: Response) -> DialogId:
        """The dialog of a received response: our tag is in From."""
        first = response.headers.first
        return new_tuple(cls, (first["call-id"], tag_of(first["from"]) or "", tag_of(first["to"]) or ""))


class Dialog:
    """Our end of a dialog: local and remote party, remote target, route set and sequence numbers.

                 1xx with To tag            confirm(2xx)
        (none) -----------------> early ------------------> confirmed
           |                                                    ^
           +------------------------2xx-------------------------+

    How a dialog ends is up to its usages (RFC 5057); the Dialog is then simply dropped. URIs and routes are
    kept exactly as the peer wrote them: SignalWire's Contact has a proprietary parameter and its
    Record-Routes an `r2=on`, without which its proxies cannot route.
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
        """From and To of our requests: as received at first, rewritten by us for the first request."""
        self._written = False
        self.target = target
        """The URI of the peer's Contact, as sent (§12: remote target)."""
        self.route_set = route_set
        """Name-addrs as received, the hop nearest to us first."""
        self.local_cseq = local_cseq
        """CSeq number of our last request; 0 before the first, but the owner may start higher."""
        self.sent_cseq = 0
        """CSeq number of the last request put on the wire: requests are sent in CSeq order."""
        self.remote_cseq = remote_cseq
        """CSeq number of the peer's last request; None before the first."""
        self._refreshed_by = 0
        """CSeq number of the peer's last request that refreshed the target."""
        self.confirmed = confirmed

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> Dialog:
        """The dialog created by a 101-299 response to our request (§12.1.2); raises ParseError."""
        asked, answered = request.headers.first, response.headers.first
        return cls(
            DialogId.of_response(response),
            asked["from"],
            answered["to"],
            _contact(response) or request.uri,  # a 1xx without Contact must not cost the call
            _route_set(response, reverse=True) if "record-route" in answered else (),
            parse_cseq(asked["cseq"]).number,
            None,
            response.status >= 200,
        )

    @classmethod
    def as_uas(cls, request: Request, response: Response) -> Dialog:
        """The dialog created by our 101-299 response to a request (§12.1.1).

        Raises ParseError, also for a request without Contact, which gives us no remote target.
        """
        asked, to = request.headers.first, response.headers.first["to"]
        target = _contact(request)
        if target is None:
            raise ParseError(f"{request.method} has no Contact")
        return cls(
            new_tuple(DialogId, (asked["call-id"], tag_of(to) or "", tag_of(asked["from"]) or "")),
            to,
            asked["from"],
            target,
            _route_set(request, reverse=False) if "record-route" in asked else (),
            0,
            parse_cseq(asked["cseq"]).number,
            response.status >= 200,
        )

    @property
    def local(self) -> NameAddr:
        """From of our requests, with our tag."""
        return _presentable(NameAddr.parse(self._ends[0]))

    @property
    def remote(self) -> NameAddr:
        """To of our requests, with the peer's tag."""
        return _presentable(NameAddr.parse(self._ends[1]))

    @property
    def next_hop(self) -> str:
        """The URI to send requests to: the first route, loose or strict, else the remote target (§8.1.2)."""
        return NameAddr.parse(self.route_set[0]).raw_uri if self.route_set else self.target

    def confirm(self, response: Response) -> None:
        """Confirm the dialog by a 2xx, ours or the peer's; the peer's also refreshes the target.

        The peer's first 2xx replaces the route set from its 1xx (§13.2.2.4); later ones, to a re-INVITE or
        UPDATE, leave it as it is (§12.2). Changes nothing if it raises ParseError.
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
        """The next request in this dialog (§12.2.1.1), without Via and Contact, plus these headers."""
        self.local_cseq += 1
        return self._compose(method, self.local_cseq, more)

    def ack(self, invite: Request) -> Request:
        """The ACK for a 2xx to our INVITE, with its CSeq number and credentials (§13.2.2.4)."""
        ack = self._compose("ACK", parse_cseq(invite.headers.first["cseq"]).number)
        _take_credentials(ack.headers, invite.headers)
        return ack

    def receive(self, request: Request) -> None:
        """Note a request from the peer (§12.2.2); raises ParseError with status 500 if out of order.

        An ACK or CANCEL has the CSeq number of its INVITE, so it is never out of order.
        """
        if request.method in ("ACK", "CANCEL"):
            return
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise ParseError(f"CSeq number out of order: {number} after {self.remote_cseq}", 500)
        if request.method in TARGET_REFRESH:
            _contact(request)  # raise ParseError now, not once the request is accepted
        self.remote_cseq = number

    def accepted(self, request: Request) -> None:
        """Our 2xx to a target refresh request goes out: its Contact becomes the remote target.

        A request that we reject changes nothing (RFC 6141 §4), nor does one overtaken by a later one.
        """
        number, target = request.cseq.number, _contact(request)
        if target is not None and number >= self._refreshed_by:
            self.target, self._refreshed_by = target, number

    def _compose(self, method: str, number: int, more: tuple[tuple[str, str], ...] = ()) -> Request:
        if not self._written:  # lazily, since many dialogs send nothing; once, since the ends never change
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
            headers = Headers.from_text(
                f"Max-Forwards: 70\r\nFrom: {from_}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}",
                {"max-forwards": "70", "from": from_, "to": to, "call-id": call_id, "cseq": cseq},
            )
        if more:
            headers.extend(more)
        return Request(method, uri, headers)

    def _path(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route values for a non-empty route set (§12.2.1.1)."""
        first = NameAddr.parse(self.route_set[0])
        if first.uri.loose:
            return self.target, self.route_set
        return _as_request_uri(first), (*self.route_set[1:], f"<{self.target}>")


class InviteEssence(NamedTuple):
    """The parts of an INVITE of ours that its dialogs and their ACKs are made from."""

    uri: str
    sender: str
    number: int
    credentials: tuple[tuple[str, str], ...]

    @property
    def invite(self) -> Request:
        """A minimal INVITE from these parts, for `Dialog.as_uac` and `Dialog.ack`."""
        lines = (("From", self.sender), ("CSeq", f"{self.number} INVITE"), *self.credentials)
        return Request("INVITE", self.uri, Headers(lines))


def _take_credentials(headers: Headers, others: Headers) -> None:
    for name, key in _CREDENTIALS:
        if key in others.first:
            headers.take(others, name)


def _as_written(end: str, tag: str) -> str:
    """One end of the dialog as written in our requests; `end`: as received, `tag`: of that end."""
    if end[:1] == "<" and end[-1] != ";" and " " not in end and "\t" not in end:
        return end  # no display name, and nothing to normalise
    mark = f">;tag={tag}"
    if len(end) > MAX_CACHED_CHARS or not end.endswith(mark):
        return str(_presentable(NameAddr.parse(end)))
    written = f"{_presented(end.removesuffix(mark) + '>')};tag={tag}"
    return end if written == end else written  # `end` is in memory already


@lru_cache(maxsize=1024)
def _presented(address: str) -> str:
    """An address without tag as we write it; cached, since addresses recur while tags do not."""
    return str(_presentable(NameAddr.parse(address)))


def _presentable(address: NameAddr) -> NameAddr:
    """Without a display name that is not printable UTF-8: accepted when received, never sent (§25.1)."""
    if address.display is None or address.display.isprintable():
        return address
    return replace(address, display=None)


def _contact(message: Request | Response) -> str | None:
    contact = message.contact
    return contact.raw_uri if contact else None


def _route_set(message: Request | Response, *, reverse: bool) -> tuple[str, ...]:
    routes = message.headers.split("Record-Route")
    for route in routes:
        NameAddr.parse(route)  # raise ParseError now, not when the first request is made
    return tuple(reversed(routes) if reverse else routes)


def _as_request_uri(route: NameAddr) -> str:
    """The URI without the parts that a Request-URI must not have: method parameter and headers (§19.1.1)."""
    uri = route.uri
    if uri.headers or uri.params.has("method"):
        return str(replace(uri, headers="", params=uri.params.without("method")))
    return route.raw_uri
