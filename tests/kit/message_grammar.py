"""Checks messages that we send against RFC 3261's grammar, rather than by our own lenient parser."""

from __future__ import annotations

import re
from collections import Counter

from proxy.sip.errors import ParseError
from proxy.sip.header_names import header_key
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.values import NameAddr

_REQUEST_LINE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+ [A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"]+ SIP/2\.0")
_STATUS_LINE = re.compile(r"SIP/2\.0 [1-6][0-9][0-9] [^\r\n]*")
_HEADER = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{2,}): (.*)", re.DOTALL)
_CONTROL = re.compile(r"(?<!\\)[\x00-\x08\x0b-\x1f]")

_ECHOED = frozenset(("via", "from", "to", "call-id", "cseq", "record-route", "timestamp"))
"""Headers that a response copies from its request (§8.2.6.2): their values are the sender's, not ours."""

_ONCE = frozenset(
    (
        "from",
        "to",
        "call-id",
        "cseq",
        "max-forwards",
        "content-length",
        "content-type",
        "contact",
        "session-expires",
    )
)


def faults(data: bytes) -> list[str]:
    """The faults of a message that we have sent; empty if there are none."""
    head, blank, body = data.partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    start, *lines = text.split("\r\n")
    request = _REQUEST_LINE.fullmatch(start) is not None
    found = [] if blank else ["no empty line after the headers"]
    if not request and _STATUS_LINE.fullmatch(start) is None:
        found.append(f"start line: {start!r}")
    if "\r" in text.replace("\r\n", "") or "\n" in text.replace("\r\n", ""):
        found.append("a line end that is not CRLF")
    names: Counter[str] = Counter()
    for line in lines:
        matched = _HEADER.fullmatch(line)
        if matched is None:
            found.append(f"header line: {line!r}")
            continue
        names[matched[1].lower()] += 1
        found += _value_faults(matched[1], matched[2], echoed=not request and matched[1].lower() in _ECHOED)
    found += [f"{name} {names[name]} times" for name in _ONCE if names[name] > 1]
    found += [f"no {name}" for name in ("via", "from", "to", "call-id", "cseq") if not names[name]]
    if not found:
        found += _meaning_faults(data, body)
    return found


def _value_faults(name: str, value: str, *, echoed: bool) -> list[str]:
    found = []
    if header_key(name) != name.lower():
        found.append(f"compact form: {name}")
    if _CONTROL.search(value):
        found.append(f"control character in {name}: {value!r}")
    if not echoed and (value != value.strip() or not value or not value.isprintable()):
        found.append(f"value of {name}: {value!r}")
    return found


def _meaning_faults(data: bytes, body: bytes) -> list[str]:
    try:
        message = parse_message(data)
    except ParseError as error:
        return [str(error)]
    found = []
    if message.headers.get("Content-Length") != str(len(body)):
        found.append(f"Content-Length {message.headers.get('Content-Length')} of {len(body)}")
    if bool(body) != ("Content-Type" in message.headers):
        found.append("body and Content-Type do not go together")
    _ = message.contact, message.routes, message.record_routes, message.vias
    if isinstance(message, Request):
        found += _request_faults(message)
    elif isinstance(message, Response) and message.status > 100 and message.to_tag is None:
        found.append("no To tag")
    return found


def _request_faults(request: Request) -> list[str]:
    found = []
    if not (request.via.branch or "").startswith("z9hG4bK"):
        found.append("no magic cookie")
    if request.max_forwards is None or request.from_tag is None:
        found.append("no Max-Forwards, or no From tag")
    for name in ("From", "To", "Contact"):
        for value in request.headers.get_all(name):
            found += (
                [] if str(NameAddr.parse(value)) == value else [f"not as it is written best: {name}: {value}"]
            )
    return found
