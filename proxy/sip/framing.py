"""Whole messages out of a byte stream: TCP and TLS (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

from __future__ import annotations

import re

from proxy.sip.errors import ParseError
from proxy.sip.grammar import number, once
from proxy.sip.message import END_OF_HEAD, Request, parse_message

_LENGTH = re.compile(
    rb"^(?:content-length|l)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE
).findall
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+").match


class StreamFramer:
    """Cuts one connection's bytes into messages, however they arrive in pieces.

    A stream that cannot be framed is lost for good: there is no place to begin again. The error is raised
    once every message before it has been handed out, and from then on at each `feed`; see `fault`.
    """

    __slots__ = (
        "_awaited",
        "_buffer",
        "_lone",
        "_max_bytes",
        "_pings",
        "_scanned",
        "_size",
        "fault",
        "pongs",
    )

    fault: ParseError | None
    """Set as soon as the stream is broken, so that a reader who got messages first need not wait for more."""

    pongs: int
    """Single CRLFs received: answers to our keep-alives."""

    def __init__(self, max_bytes: int = 65536) -> None:
        """`max_bytes` bounds one message, and so the memory a peer can hold."""
        self._buffer = bytearray()
        self._max_bytes = max_bytes
        self._scanned = 0
        self._size = 0  # of the message whose head is whole; 0 before that
        self._pings = 0
        self._lone = self._awaited = False
        self.pongs = 0
        self.fault = None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages these bytes complete, in order; raises ParseError where no more can follow.

        A message of more than `max_bytes` is a 513; one without Content-Length, or with a bad one, a 400.
        """
        messages: list[bytes] = []
        if self.fault is None:
            self._buffer += data
            try:
                while (message := self._next()) is not None:
                    messages.append(message)
            except ParseError as error:
                self.fault = error
                self._buffer.clear()
        if self.fault is not None and not messages:
            raise self.fault
        return messages

    @property
    def partial(self) -> bool:
        """Whether a message has begun whose end is still to come."""
        return len(self._buffer) > 0

    def pinged(self) -> None:
        """A keep-alive of ours is on its way: the next CRLF that comes alone answers it."""
        self._awaited, self._lone = True, False

    def take_pings(self) -> int:
        """How many double CRLFs came since last asked; each is owed a single CRLF (RFC 5626 §4.4.1)."""
        pings, self._pings = self._pings, 0
        return pings

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if self._size == 0 and not self._measured():
            return None
        if len(buffer) < self._size:
            return None
        message = bytes(buffer[: self._size])
        del buffer[: self._size]
        self._scanned = self._size = 0
        self._lone = False
        return message

    def _measured(self) -> bool:
        """Whether the head is whole; it is looked at once, however slowly the body drips in."""
        buffer = self._buffer
        if self._scanned == 0:
            self._swallow_empty_lines()
        end = END_OF_HEAD.search(buffer, self._scanned)
        if end is None:
            if len(buffer) > self._max_bytes:
                raise ParseError(f"message head longer than {self._max_bytes} bytes", 513)
            self._scanned = max(len(buffer) - 2, 0)
            return False
        head = bytes(buffer[: end.end()])
        size = len(head) + _content_length(head)
        if size > self._max_bytes:
            raise _with_partial(ParseError(f"message of {size} bytes is too large", 513), head)
        self._size = size
        return True

    def _swallow_empty_lines(self) -> None:
        run = _EMPTY_LINES(self._buffer)
        if run is None:
            return
        ends = run[0].count(b"\n")
        del self._buffer[: run.end()]
        # A CRLF that came alone may have been the first half of a ping, or a pong. Both are served: a pong
        # too many does no harm, an unanswered ping ends the connection.
        pairs, odd = divmod(ends + self._lone, 2)
        self._pings += pairs
        self.pongs += odd
        self._lone = odd == 1 and not self._awaited
        if odd:
            self._awaited = False


def _content_length(head: bytes) -> int:
    lower = b"\n" + head.lower()
    before, mark, rest = lower.partition(b"\ncontent-length: ")
    digits, _, after = rest.partition(b"\r\n")
    alone = b"content-length" not in before and b"content-length" not in after and b"\nl" not in lower
    if mark and alone and digits.isdigit() and len(digits) < 10 and after[:1] not in (b" ", b"\t"):
        return int(digits)  # as nearly all write it, and once
    values = {value.strip() for value in _LENGTH(head)}
    try:
        if len(values) != 1:
            raise ParseError("conflicting values of content-length" if values else "missing Content-Length")
        return number(once(values.pop().decode("latin-1")), "Content-Length", 2**31)
    except ParseError as error:
        raise _with_partial(error, head) from None


def _with_partial(error: ParseError, head: bytes) -> ParseError:
    """`error`, carrying the request it concerns where the head shows one."""
    try:
        message = parse_message(head)
    except ParseError as worse:
        error.partial = worse.partial
    else:
        error.partial = message if isinstance(message, Request) else None
    return error
