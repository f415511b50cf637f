"""Request and Response: parsing and serialising SIP messages (RFC 3261 §7).

Liberal in what is accepted, strict in what is sent. `parse_message` checks what every receiver depends on:
the start line, the syntax of header lines, the headers that frame and identify the message. Other headers are
parsed on access, which raises `ParseError`: a malformed header that nobody reads does no harm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from proxy.sip.errors import ParseError
from proxy.sip.fields import MANDATORY, Message
from proxy.sip.grammar import WHITESPACE, is_token, number, once, shown
from proxy.sip.headers import MAX_VALUE_CHARS, Headers, plain_headers, read_headers
from proxy.sip.methods import KNOWN_METHODS
from proxy.sip.status import reason_phrase
from proxy.sip.uri import Uri, parse_uri
from proxy.sip.values import parse_cseq, tag_of

END_OF_HEAD = re.compile(rb"\n\r?\n")
"""The empty line after the headers, with the line feed of the last header; a bare LF ends a line too."""

_SINGLE = frozenset(("cseq", "call-id", "from", "to", "max-forwards", "content-length"))
"""Headers of which two different values make the message ambiguous (RFC 4475 §3.3.8, §3.3.9)."""

MAX_LINES, MAX_HEAD_BYTES = 256, 32 * 1024
"""Limits on the head of a message; ten times what the longest paths through carriers produce."""

_DIALOG_CREATING = ("INVITE", "SUBSCRIBE", "REFER")

_NO_HEADERS = Headers()
"""Placeholder while only the start line of a message has been parsed."""

_new = object.__new__
"""Creates a message without calling `__init__`; assigning its attributes directly is faster."""

_LOOSE_END = WHITESPACE + ";"
_FOLD = re.compile(r"\n[ \t]+")
_BARE_NUL = re.compile(r"(?<!\\)\0").search
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?", re.IGNORECASE | re.DOTALL).fullmatch
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE).fullmatch
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:").match


@dataclass(slots=True)
class Request(Message):
    """A SIP request (§7.1)."""

    method: str
    """The method; case-sensitive."""

    uri: str
    """The Request-URI exactly as on the wire."""

    headers: Headers = field(default_factory=Headers)
    """The header fields; may be modified until the message is sent."""

    body: bytes = b""
    """The body, exactly as long as Content-Length says."""

    @property
    def start_line(self) -> str:
        """The request line."""
        return f"{self.method} {self.uri} SIP/2.0"

    def encode(self) -> bytes:
        """The message as sent on the wire; raises ValueError if the start line has a line end or NUL."""
        return self.headers.encode(f"{self.method} {self.uri} SIP/2.0", self.body)

    @property
    def target(self) -> Uri:
        """The Request-URI, parsed; an unknown scheme parses too (answering 416 is up to the core)."""
        return parse_uri(self.uri)

    def reply(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """A response to this request (§8.2.6); copies headers raw, so malformed ones do not prevent it.

        Adds `to_tag` if To has no tag yet. Copies Record-Route into a 101-299 that creates a dialog
        (§12.1.1), Timestamp into a 100 (§8.2.6.1).
        """
        first = self.headers.first
        to = first.get("to")
        if to_tag and to is not None:
            to = _with_tag(to, to_tag)
        makes_dialog = 100 < status < 300 and self.method in _DIALOG_CREATING
        headers = self.headers.echo(to, routes=makes_dialog and "record-route" in first)
        if status == 100 and "timestamp" in first:
            headers.take(self.headers, "Timestamp")
        if content_type is not None:
            headers.add("Content-Type", content_type)
        return Response(status, reason_phrase(status) if reason is None else reason, headers, body)


@dataclass(slots=True)
class Response(Message):
    """A SIP response (§7.2)."""

    status: int
    """The status code, 100 to 699."""

    reason: str
    """The reason phrase, for humans only; may be empty."""

    headers: Headers = field(default_factory=Headers)
    """The header fields; may be modified until the message is sent."""

    body: bytes = b""
    """The body, exactly as long as Content-Length says."""

    @property
    def start_line(self) -> str:
        """The status line."""
        return f"SIP/2.0 {self.status} {self.reason}"

    def encode(self) -> bytes:
        """The message as sent on the wire; raises ValueError if the start line has a line end or NUL."""
        return self.headers.encode(f"SIP/2.0 {self.status} {self.reason}", self.body)


def parse_message(data: bytes) -> Request | Response:
    """Parse one whole message: a datagram, or a message that `StreamFramer` returned.

    Truncates a body longer than Content-Length, rejects a shorter one (§18.3). The ParseError raised carries
    the status to answer with, and in `partial` as much of the request as could be parsed.
    """
    if data[:1] <= b"\r":  # every character that can begin a message is above CR
        data = data.lstrip(b"\r\n")  # §7.5: empty lines before the start line are ignored
    return _plain(data) or _whole(data)


def _plain(data: bytes) -> Request | Response | None:
    """Fast path: parse a message in plain form, all lines well-formed and ending in CRLF; else None.

    Nearly every message takes it. It costs a third of `_whole`, which handles the rest and reports errors.
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank or len(head) > MAX_VALUE_CHARS:
        return None
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    start = lines.pop(0)
    headers = plain_headers(start, lines, _SINGLE) if len(lines) <= MAX_LINES else None
    if headers is None:  # folded lines end here too: a continuation line has no header name
        return None
    first = headers.first
    try:
        _ = first["via"], first["from"], first["to"], first["call-id"]
        named = parse_cseq(first["cseq"]).method
    except (KeyError, ParseError):
        return None
    length = first.get("content-length")
    if length is not None and length != str(len(body)):
        return None
    method, _, rest = start.partition(" ")
    if method == "SIP/2.0":
        status = _read_status(start)
        if status is None:
            return None
        response = _new(Response)
        response.status, response.reason = status
        response.headers, response.body = headers, body
        return response
    uri, _, version = rest.rpartition(" ")
    if version != "SIP/2.0" or method != named or method not in KNOWN_METHODS or " " in uri:
        return None
    if uri[:4] != "sip:" and _ABSOLUTE_URI(uri) is None:
        return None
    request = _new(Request)
    request.method, request.uri, request.headers, request.body = method, uri, headers, body
    return request


def _whole(data: bytes) -> Request | Response:
    """Parse any message, with folded lines and bare line feeds too."""
    head, body = _split_head(data)
    text = head.removesuffix(b"\r").decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    text = _FOLD.sub(" ", text)
    lines = text.split("\n")
    message, fault = _read_start(lines.pop(0))
    if len(lines) > MAX_LINES or len(head) > MAX_HEAD_BYTES:
        fault = fault or ParseError(f"too many headers: {len(lines)} lines, {len(head)} bytes", 513)
        del lines[MAX_LINES:]
    message.headers, header_fault = read_headers(lines, _SINGLE)
    return _with_body(message, body, fault or _illegal_character(text) or header_fault)


def _with_body(
    message: Request | Response, body: bytes, fault: ParseError | None = None
) -> Request | Response:
    """Check the mandatory headers and attach the body; raises `fault`, if given, as the ParseError."""
    try:
        if fault is not None:
            raise fault
        first = message.headers.first
        for key in MANDATORY:
            if key not in first:
                raise ParseError(f"missing {MANDATORY[key]}")
        method = parse_cseq(first["cseq"]).method
        if isinstance(message, Request) and method != message.method:
            raise _method_mismatch(message.method, method)
        length = first.get("content-length")
        # An empty Content-Length counts as none; on a stream the framer has already rejected it.
        message.body = body if not length or length == str(len(body)) else _truncate(body, length)
    except ParseError as error:
        if isinstance(message, Request):
            error.partial = message
            _make_safe(message)
        raise
    return message


def _split_head(data: bytes) -> tuple[bytes, bytes]:
    """Head and body, split at the first empty line; lines may end in a bare LF."""
    crlf = data.find(b"\n\r\n")
    lf = data.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(data))
    if lf >= 0:
        return data[:lf], data[lf + 2 :]
    return (data[:crlf], data[crlf + 3 :]) if crlf >= 0 else (data.rstrip(b"\r\n"), b"")


def _read_start(line: str) -> tuple[Request | Response, ParseError | None]:
    """An empty message from its start line, and the error in that line if a response can report it.

    Raises ParseError for a line that is not SIP at all.
    """
    if line[:4].upper() == "SIP/" and (status := _read_status(line)) is not None:
        # NUL is allowed only in a quoted pair, which a reason phrase cannot have.
        return Response(*status, _NO_HEADERS), ParseError("NUL") if "\0" in line else None
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if (method not in KNOWN_METHODS and not is_token(method)) or (
        version != "SIP/2.0" and "SIP/" not in rest.upper()
    ):
        raise ParseError(f"not a SIP message: {shown(line)}")
    request = Request(method, uri, _NO_HEADERS)
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        if _VERSION(version):
            return request, ParseError(f"SIP version not supported: {shown(version)}", 505)
        return request, ParseError(f"malformed request line: {shown(line)}")
    if " " in uri or "\t" in uri or _ABSOLUTE_URI(uri) is None:
        return request, ParseError(f"malformed Request-URI: {shown(uri)}")
    return request, None


@lru_cache(maxsize=256)
def _read_status(line: str) -> tuple[int, str] | None:
    """Status code and reason phrase; None if this is not a status line."""
    parts = _STATUS_LINE(line)
    return None if parts is None else (int(parts[1]), parts[2] or "")


def _illegal_character(text: str) -> ParseError | None:
    if "\r" in text:
        return ParseError("carriage return inside a line")
    if "\0" in text and _BARE_NUL(text):  # a quoted pair may carry one (RFC 4475 §3.1.1.2)
        return ParseError("NUL in the message")
    return None


def _method_mismatch(method: str, named: str) -> ParseError:
    # RFC 4475 §3.1.2.18: an unrecognised method takes precedence over the mismatch
    status = 400 if method in KNOWN_METHODS else 501
    return ParseError(f"CSeq method {shown(named)} in a {shown(method)} request", status)


def _truncate(body: bytes, length: str) -> bytes:
    size = number(once(length), "Content-Length", 2**31)
    if size > len(body):
        raise ParseError(f"body of {len(body)} bytes is shorter than its Content-Length: {size}")
    return body[:size]


def _make_safe(request: Request) -> None:
    """Drop the headers of a rejected request that a response could not echo: those with CR or NUL."""
    safe = Headers()
    for name, value in request.headers:
        if "\r" not in value and _BARE_NUL(value) is None:
            safe.add(name, value)
    request.headers = safe


def _with_tag(to: str, tag: str) -> str:
    try:
        has_tag = tag_of(to) is not None
    except ParseError:
        return to  # a malformed To is echoed unchanged
    return to if has_tag else f"{to.rstrip(_LOOSE_END)};tag={tag}"
