"""Message bodies: finds the session description, in a multipart body too (RFC 2046 §5.1, RFC 5621)."""

from __future__ import annotations

import re

from proxy.sip.errors import ParseError
from proxy.sip.grammar import unquote
from proxy.sip.headers import Headers, read_headers
from proxy.sip.message import END_OF_HEAD, Request, Response
from proxy.sip.uri import Params

SDP = "application/sdp"

_MAX_PARTS = 16
_MAX_DEPTH = 3
_MAX_BOUNDARY_CHARS = 70


def reduce_to_sdp(message: Request | Response) -> None:
    """Reduce the body of `message` to the session description in it.

    Replaces a multipart body by its first SDP part. Removes a body of another type if its `handling` is
    optional (RFC 3261 §20.11), and so a whole multipart body without SDP. Otherwise leaves the body as it is,
    also where a part is required but unknown: refusing the request is up to the caller.
    """
    kind = message.content_type
    if kind is None or kind == SDP:
        return
    if kind.startswith("multipart/"):
        session = _find_sdp(message.headers, message.body, _MAX_DEPTH)
        if session is not None:
            message.headers.set("Content-Type", SDP)
            message.body = session
            return
    if handling(message.headers) == "optional":
        message.headers.remove("Content-Type")
        message.body = b""


def handling(headers: Headers) -> str | None:
    """The `handling` of Content-Disposition, lower-case: `required`, `optional`; None if not given."""
    value = headers.get("Content-Disposition")
    if value is None:
        return None
    return (_parameter(value, "handling") or "").lower() or None


def accepts_sdp(headers: Headers) -> bool:
    """Whether the sender of a request accepts SDP in the response (§20.1).

    No Accept means yes. So does an empty one, which by the letter excludes everything: some gear sends it
    to mean nothing.
    """
    accepted = headers.split("Accept")
    if not accepted:
        return True
    kinds = {"".join(value.partition(";")[0].split()).lower() for value in accepted}
    return not kinds.isdisjoint((SDP, "application/*", "*/*", "*"))


def _find_sdp(headers: Headers, body: bytes, depth: int) -> bytes | None:
    """The first SDP part of a multipart body; None if there is none, or a required part is unknown."""
    found: bytes | None = None
    for part_headers, part in _parts(headers.get("Content-Type") or "", body):
        kind = "".join((part_headers.get("Content-Type") or "").partition(";")[0].split()).lower()
        session: bytes | None = None
        if kind == SDP and _is_unencoded(part_headers):
            session = part
        elif kind.startswith("multipart/") and depth > 1:
            session = _find_sdp(part_headers, part, depth - 1)
        if session is None and handling(part_headers) == "required":
            return None
        found = session if found is None else found
    return found


def _parts(content_type: str, body: bytes) -> list[tuple[Headers, bytes]]:
    """The parts of a multipart body, without its epilogue; empty if Content-Type gives no boundary."""
    boundary = _parameter(content_type, "boundary")
    if not boundary or len(boundary) > _MAX_BOUNDARY_CHARS:
        return []
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    marks = list(re.finditer(rb"(?:\A|\r?\n)--" + mark + rb"(--)?[ \t]*(?=\r?\n|\Z)", body))[: _MAX_PARTS + 1]
    parts: list[tuple[Headers, bytes]] = []
    for place, start in enumerate(marks):
        if start[1]:
            break
        end = marks[place + 1].start() if place + 1 < len(marks) else len(body)
        parts.append(_part(body[start.end() : end]))
    return parts


def _part(text: bytes) -> tuple[Headers, bytes]:
    """Headers and content of one part; `text` begins with the line end of its boundary."""
    # A part may have no headers at all: the empty line then directly follows the boundary line.
    blank = END_OF_HEAD.search(text)
    head, content = (text[: blank.start()], text[blank.end() :]) if blank else (text, b"")
    lines = (
        head.removesuffix(b"\r")
        .decode("utf-8", "surrogateescape")
        .replace("\r\n", "\n")
        .replace("\0", "")
        .split("\n")
    )
    headers, _ = read_headers(line for line in lines if line)
    return headers, content


def _is_unencoded(headers: Headers) -> bool:
    encoding = (headers.get("Content-Transfer-Encoding") or "binary").lower()
    return encoding in ("binary", "8bit", "7bit")


def _parameter(value: str, name: str) -> str | None:
    _, semicolon, rest = value.partition(";")
    try:
        found = Params.parse(semicolon + rest).get(name)
    except ParseError:
        return None
    return None if found is None else unquote(found)
