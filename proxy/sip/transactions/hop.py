"""The hop-by-hop ACK and CANCEL of an INVITE: same target, branch and Route (RFC 3261 §9.1, §17.1.1.3)."""

from __future__ import annotations

from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response


def ack_for(invite: Request, response: Response) -> Request:
    """The ACK that a client transaction sends for a 300-699 (RFC 3261 §17.1.1.3)."""
    return _on_hop_of(invite, "ACK", to=_raw(response.headers, "To"))


def cancel_for(invite: Request) -> Request:
    """The CANCEL for our INVITE (RFC 3261 §9.1); to be sent only after its first provisional response."""
    return _on_hop_of(invite, "CANCEL", to=_raw(invite.headers, "To"))


def _on_hop_of(invite: Request, method: str, to: str) -> Request:
    headers = Headers([("Via", invite.headers.split("Via")[0]), ("Max-Forwards", "70")])
    for route in invite.headers.get_all("Route"):
        headers.add("Route", route)
    headers.add("From", _raw(invite.headers, "From"))
    headers.add("To", to)
    headers.add("Call-ID", _raw(invite.headers, "Call-ID"))
    headers.add("CSeq", f"{invite.cseq.number} {method}")
    return Request(method, invite.uri, headers)


def _raw(headers: Headers, name: str) -> str:
    return headers.get(name) or ""
