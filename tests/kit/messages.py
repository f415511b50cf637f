"""Minimal valid messages, parsed from text as a peer would send it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from proxy.lab.message_templates import OPENAI_OK, OPENAI_SDP, SIGNALWIRE_INVITE, SIGNALWIRE_SDP, filled, sdp
from proxy.sip.message import Request, Response, parse_message

Pairs = Iterable[tuple[str, str]]

SDP = sdp(
    "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
    "m=audio 4000 RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
)
"""A minimal audio description: PCMU and telephone events."""


def request(
    method: str,
    uri: str = "sip:bob@sbc.example.com",
    *,
    branch: str = "z9hG4bK776asdhds",
    sent_by: str = "192.0.2.1:5060",
    transport: str = "UDP",
    from_tag: str = "alice1",
    to_tag: str | None = None,
    call_id: str = "a84b4c76e66710",
    cseq: int = 1,
    contact: str | None = "<sip:alice@192.0.2.1:5060>",
    headers: Pairs = (),
    body: bytes = b"",
    content_type: str | None = "application/sdp",
) -> Request:
    """Any request from alice@192.0.2.1 to bob; `headers` are added at the end."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} {sent_by};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:alice@example.com>;tag={from_tag}",
        f"To: <sip:bob@sbc.example.com>{f';tag={to_tag}' if to_tag else ''}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
    ]
    if contact:
        lines.append(f"Contact: {contact}")
    return cast(Request, parse_message(_wire(lines, headers, body, content_type)))


def invite(uri: str = "sip:bob@sbc.example.com", *, body: bytes = SDP, **fields: object) -> Request:
    """An INVITE with an offer; `body=b""` for one without."""
    return request("INVITE", uri, body=body, **fields)  # type: ignore[arg-type]


def ack(invite: Request, *, to_tag: str, branch: str = "z9hG4bKack") -> Request:
    """The ACK for a 2xx to this INVITE: a transaction of its own (RFC 3261 §13.2.2.4)."""
    return within(invite, "ACK", to_tag=to_tag, branch=branch, cseq=invite.cseq.number)


def bye(invite: Request, *, to_tag: str, branch: str = "z9hG4bKbye", cseq: int | None = None) -> Request:
    """A BYE from the caller's end of the dialog."""
    return within(invite, "BYE", to_tag=to_tag, branch=branch, cseq=cseq)


def cancel(invite: Request) -> Request:
    """The CANCEL of this INVITE, with the same Via, From, To, Call-ID and CSeq number (RFC 3261 §9.1)."""
    lines = [
        f"CANCEL {invite.uri} SIP/2.0",
        f"Via: {invite.headers.get('Via')}",
        "Max-Forwards: 70",
        f"From: {invite.headers.get('From')}",
        f"To: {invite.headers.get('To')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {invite.cseq.number} CANCEL",
    ]
    return cast(Request, parse_message(_wire(lines)))


def within(
    invite: Request,
    method: str,
    *,
    to_tag: str,
    branch: str,
    cseq: int | None = None,
    headers: Pairs = (),
    body: bytes = b"",
    content_type: str | None = "application/sdp",
) -> Request:
    """A request of the caller within the dialog of this INVITE."""
    lines = [
        f"{method} {invite.uri} SIP/2.0",
        f"Via: {invite.via.with_('branch', branch)!s}",
        "Max-Forwards: 70",
        f"From: {invite.headers.get('From')}",
        f"To: {invite.headers.get('To')};tag={to_tag}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {invite.cseq.number + 1 if cseq is None else cseq} {method}",
    ]
    if contact := invite.headers.get("Contact"):
        lines.append(f"Contact: {contact}")
    return cast(Request, parse_message(_wire(lines, headers, body, content_type)))


def response(
    request: Request,
    status: int,
    reason: str = "Whatever",
    *,
    to_tag: str | None = "bob1",
    contact: str | None = None,
    headers: Pairs = (),
    body: bytes = b"",
    content_type: str | None = "application/sdp",
) -> Response:
    """A response of bob's to this request."""
    to = request.headers.get("To") or ""
    if to_tag and "tag=" not in to:
        to = f"{to};tag={to_tag}"
    lines = [
        f"SIP/2.0 {status} {reason}",
        *(f"Via: {via}" for via in request.headers.get_all("Via")),
        f"From: {request.headers.get('From')}",
        f"To: {to}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.headers.get('CSeq')}",
    ]
    if contact:
        lines.append(f"Contact: {contact}")
    return cast(Response, parse_message(_wire(lines, headers, body, content_type)))


def trying(request: Request) -> Response:
    return response(request, 100, "Trying", to_tag=None)


def ringing(request: Request, *, to_tag: str = "bob1", contact: str = "<sip:bob@192.0.2.2:5060>") -> Response:
    return response(request, 180, "Ringing", to_tag=to_tag, contact=contact)


def ok(
    request: Request,
    *,
    to_tag: str = "bob1",
    contact: str | None = "<sip:bob@192.0.2.2:5060>",
    body: bytes | None = None,
    headers: Pairs = (),
) -> Response:
    """A 200: with an SDP answer to an INVITE, without a body to anything else."""
    if body is None:
        body = SDP if request.method == "INVITE" else b""
    return response(request, 200, "OK", to_tag=to_tag, contact=contact, body=body, headers=headers)


def signalwire_invite(**changes: object) -> Request:
    """An INVITE of SignalWire to an SBC, as captured; `changes` replaces fields of the template."""
    places: dict[str, object] = {
        "dialed": "inbound",
        "edge": "sbc.example.com:5060",
        "transport_param": ";transport=UDP",
        "route_param": "",
        "host": "198.51.100.114",
        "port": 5060,
        "inner_port": 5061,
        "transport": "UDP",
        "tag": "0eKrUHDBKvXFB",
        "cseq": 105354320,
        "branch": "z9hG4bK8c51.5a3160c67f160008b7c6e49421e7930c.0",
        "inner_branch": "z9hG4bKX0c5vFHtS656r",
        "caller": "<sip:+13475550148@sip.signalwire.com>",
        "call_id": "14f108a5-c92b-4602-b14f-0012b70eddcd",
    } | changes
    return cast(Request, parse_message(filled(SIGNALWIRE_INVITE, sdp(SIGNALWIRE_SDP), **places)))


def openai_ok(invite: Request | None = None, *, contact: str = "sip.api.openai.com:5061") -> Response:
    """OpenAI's 200 to this INVITE, or to the one that was captured."""
    project = "sip:proj_XXXXXXXXXXXXXXXXXXXXXXXX@sip.api.openai.com"
    places = {
        "via": "SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bKa1b2c3",
        "from_": "<sip:+13475550148@sbc.example.com>;tag=a1",
        "to": f"<{project}>;tag=b2",
        "call_id": "5f0c1d6e",
        "cseq": "1 INVITE",
        "contact": contact,
    }
    if invite is not None:
        head = invite.headers
        places |= {
            "via": head.get("Via") or "",
            "from_": head.get("From") or "",
            "call_id": invite.call_id,
            "to": f"{head.get('To')};tag=b2",
            "cseq": head.get("CSeq") or "",
        }
    return cast(Response, parse_message(filled(OPENAI_OK, sdp(OPENAI_SDP), **places)))


def _wire(
    lines: list[str], headers: Pairs = (), body: bytes = b"", content_type: str | None = "application/sdp"
) -> bytes:
    lines = [*lines, *(f"{name}: {value}" for name, value in headers)]
    if body and content_type:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
