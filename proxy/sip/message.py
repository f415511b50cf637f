"""Request and Response: SIP messages, from bytes and to bytes (RFC 3261 §7).

Reading is liberal, writing is strict. `parse_message` looks at what every receiver depends on: the start
line, the shape of the header lines, the headers that frame and identify the message. All else is parsed on
access and raises `ParseError` every time, so that junk in a header nobody reads harms nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from proxy.sip.errors import ParseError
from proxy.sip.fields import NEEDED, Message
from proxy.sip.grammar import WHITESPACE, is_token, number, once, shown
from proxy.sip.headers import MAX_VALUE_CHARS, Headers, plain_headers, read_headers
from proxy.sip.methods import KNOWN_METHODS
from proxy.sip.status import reason_phrase
from proxy.sip.uri import Uri, one_uri
from proxy.sip.values import cseq, tag_of

END_OF_HEAD = re.compile(rb"\n\r?\n")
"""The empty line after the headers; its first line feed ends the last of them. LF alone ends a line too."""

_SINGLE = frozenset(("cseq", "call-id", "from", "to", "max-forwards", "content-length"))
"""Headers of which two different values make the message ambiguous (RFC 4475 §3.3.8, §3.3.9)."""

MAX_LINES, MAX_HEAD_BYTES = 256, 32 * 1024
"""Header lines and bytes of a message's head; ten times what the longest ways through carriers make."""

_DIALOG_CREATING = ("INVITE", "SUBSCRIBE", "REFER")

_UNREAD = Headers()
"""Stands in for the headers of a message of which just the start line is read."""

_blank = object.__new__
"""Makes a message as none is made by hand: what it has is put down at once, without a call for that."""

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
    """The method, compared with case."""

    uri: str
    """The Request-URI exactly as it is on the wire."""

    headers: Headers = field(default_factory=Headers)
    """The header fields; free to change until the message is sent."""

    body: bytes = b""
    """The body, exactly as long as Content-Length says."""

    @property
    def start_line(self) -> str:
        """The request line."""
        return f"{self.method} {self.uri} SIP/2.0"

    def encode(self) -> bytes:
        """The message as it goes on the wire; ValueError where its start line would break it apart."""
        return self.headers.encode(f"{self.method} {self.uri} SIP/2.0", self.body)

    @property
    def target(self) -> Uri:
        """The Request-URI, parsed; a scheme we do not know parses too (416 is the core's word)."""
        return one_uri(self.uri)

    def reply(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """The response to this request (§8.2.6); headers are copied raw, so malformed ones do not hinder it.

        `to_tag` is added where To has no tag yet. Record-Route goes along in 101 to 299 (§12.1.1), Timestamp
        in a 100 (§8.2.6.1).
        """
        first = self.headers.first
        to = first.get("to")
        if to_tag and to is not None:
            to = _tagged(to, to_tag)
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
    """The reason phrase, for people only; it may be empty."""

    headers: Headers = field(default_factory=Headers)
    """The header fields; free to change until the message is sent."""

    body: bytes = b""
    """The body, exactly as long as Content-Length says."""

    @property
    def start_line(self) -> str:
        """The status line."""
        return f"SIP/2.0 {self.status} {self.reason}"

    def encode(self) -> bytes:
        """The message as it goes on the wire; ValueError where its start line would break it apart."""
        return self.headers.encode(f"SIP/2.0 {self.status} {self.reason}", self.body)


def parse_message(data: bytes) -> Request | Response:
    """One whole message from `data`: a datagram, or what a `StreamFramer` cut out of a stream.

    A body longer than Content-Length is cut, a shorter one refused (§18.3). ParseError carries the status
    owed, and in `partial` the request to reply to as far as it could be read.
    """
    if data[:1] <= b"\r":  # what begins a message is above it
        data = data.lstrip(b"\r\n")  # §7.5: empty lines before the start line are ignored
    return _plain(data) or _whole(data)


def _plain(data: bytes) -> Request | Response | None:
    """A message whose lines end in CRLF and have nothing wrong with them, as nearly all are; else None.

    It costs a third of what `_whole` does: nothing in the head is looked for twice, and what is wrong with a
    message is left for that to say.
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank or len(head) > MAX_VALUE_CHARS:
        return None
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    start = lines.pop(0)
    headers = plain_headers(start, lines, _SINGLE) if len(lines) <= MAX_LINES else None
    if headers is None:  # a folded line among others: a line that goes on has no token for its name
        return None
    first = headers.first
    try:
        _ = first["via"], first["from"], first["to"], first["call-id"]
        named = cseq(first["cseq"]).method
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
        response = _blank(Response)
        response.status, response.reason = status
        response.headers, response.body = headers, body
        return response
    uri, _, version = rest.rpartition(" ")
    if version != "SIP/2.0" or method != named or method not in KNOWN_METHODS or " " in uri:
        return None
    if uri[:4] != "sip:" and _ABSOLUTE_URI(uri) is None:
        return None
    request = _blank(Request)
    request.method, request.uri, request.headers, request.body = method, uri, headers, body
    return request


def _whole(data: bytes) -> Request | Response:
    """Any message, folded lines and bare line feeds too."""
    head, body = _parted(data)
    text = head.removesuffix(b"\r").decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    text = _FOLD.sub(" ", text)
    lines = text.split("\n")
    message, fault = _read_start(lines.pop(0))
    if len(lines) > MAX_LINES or len(head) > MAX_HEAD_BYTES:
        fault = fault or ParseError(f"too many headers: {len(lines)} lines, {len(head)} bytes", 513)
        del lines[MAX_LINES:]
    message.headers, header_fault = read_headers(lines, _SINGLE)
    return _finished(message, body, fault or _unprintable(text) or header_fault)


def _finished(
    message: Request | Response, body: bytes, fault: ParseError | None = None
) -> Request | Response:
    """The message with its body, once its head is found in order."""
    try:
        if fault is not None:
            raise fault
        first = message.headers.first
        for key in NEEDED:
            if key not in first:
                raise ParseError(f"missing {NEEDED[key]}")
        method = cseq(first["cseq"]).method
        if isinstance(message, Request) and method != message.method:
            raise _of_another(message.method, method)
        length = first.get("content-length")
        # Nearly always it is right; an empty one tells nothing; in a stream the framer has refused that.
        message.body = body if not length or length == str(len(body)) else _cut(body, length)
    except ParseError as error:
        if isinstance(message, Request):
            error.partial = message
            _make_safe(message)
        raise
    return message


def _parted(data: bytes) -> tuple[bytes, bytes]:
    """Head and body, by the first empty line; its line ends may be LF alone."""
    crlf = data.find(b"\n\r\n")
    lf = data.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(data))
    if lf >= 0:
        return data[:lf], data[lf + 2 :]
    return (data[:crlf], data[crlf + 3 :]) if crlf >= 0 else (data.rstrip(b"\r\n"), b"")


def _read_start(line: str) -> tuple[Request | Response, ParseError | None]:
    """The message its first line announces, and what is wrong with the line where that is worth an answer."""
    if line[:4].upper() == "SIP/" and (status := _read_status(line)) is not None:
        # A reason phrase has no quoted pairs, in which alone a NUL may stand.
        return Response(*status, _UNREAD), ParseError("NUL") if "\0" in line else None
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if (method not in KNOWN_METHODS and not is_token(method)) or (
        version != "SIP/2.0" and "SIP/" not in rest.upper()
    ):
        raise ParseError(f"not a SIP message: {shown(line)}")
    request = Request(method, uri, _UNREAD)
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        if _VERSION(version):
            return request, ParseError(f"SIP version not supported: {shown(version)}", 505)
        return request, ParseError(f"malformed request line: {shown(line)}")
    if " " in uri or "\t" in uri or _ABSOLUTE_URI(uri) is None:
        return request, ParseError(f"malformed Request-URI: {shown(uri)}")
    return request, None


@lru_cache(maxsize=256)
def _read_status(line: str) -> tuple[int, str] | None:
    """Status code and reason phrase; None of what is no status line."""
    parts = _STATUS_LINE(line)
    return None if parts is None else (int(parts[1]), parts[2] or "")


def _unprintable(text: str) -> ParseError | None:
    if "\r" in text:
        return ParseError("carriage return inside a line")
    if "\0" in text and _BARE_NUL(text):  # a quoted pair may carry one (RFC 4475 §3.1.1.2)
        return ParseError("NUL in the message")
    return None


def _of_another(method: str, named: str) -> ParseError:
    # RFC 4475 §3.1.2.18: of a method that we do not recognise, that is the first thing to say
    status = 400 if method in KNOWN_METHODS else 501
    return ParseError(f"CSeq method {shown(named)} in a {shown(method)} request", status)


def _cut(body: bytes, length: str) -> bytes:
    size = number(once(length), "Content-Length", 2**31)
    if size > len(body):
        raise ParseError(f"body of {len(body)} bytes is shorter than its Content-Length: {size}")
    return body[:size]


def _make_safe(request: Request) -> None:
    """Leave out of a refused request the lines that no reply could carry back."""
    safe = Headers()
    for name, value in request.headers:
        if "\r" not in value and _BARE_NUL(value) is None:
            safe.add(name, value)
    request.headers = safe


def _tagged(to: str, tag: str) -> str:
    try:
        has_tag = tag_of(to) is not None
    except ParseError:
        return to  # what cannot be understood is given back as it came
    return to if has_tag else f"{to.rstrip(_LOOSE_END)};tag={tag}"
