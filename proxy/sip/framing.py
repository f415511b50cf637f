"""Whole messages out of a byte stream: TCP and TLS (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

from __future__ import annotations

import re

from proxy.sip.errors import ParseError
from proxy.sip.grammar import number, once
from proxy.sip.message import END_OF_HEAD, Request, parse_message

_LENGTHS = re.compile(rb"(?i)\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)").findall
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
        "_scanned",
        "_wanted",
        "fault",
        "partial",
        "pings",
        "pongs",
    )

    fault: ParseError | None
    """Set as soon as the stream is broken, so that a reader who got messages first need not wait for more."""

    partial: bool
    """A message has begun whose end is still to come."""

    pings: int
    """Double CRLFs that came and were not taken yet: each is owed a single CRLF (RFC 5626 §4.4.1)."""

    pongs: int
    """Single CRLFs received: answers to our keep-alives."""

    def __init__(self, max_bytes: int = 65536) -> None:
        """`max_bytes` bounds one message, and so the memory a peer can hold."""
        self._buffer = b""
        self._max_bytes = max_bytes
        self._scanned = 0
        self._wanted = 0  # bytes of the message whose head is whole; 0 before that
        self.pings = 0
        self._lone = self._awaited = False
        self.pongs = 0
        self.partial = False
        self.fault = None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages these bytes complete, in order; raises ParseError where no more can follow.

        A message of more than `max_bytes` is a 513; one without Content-Length, or with a bad one, a 400.
        """
        if self.fault is not None:
            raise self.fault
        messages: list[bytes] = []
        buffer, start = self._buffer + data if self._buffer else data, 0
        size = len(buffer)
        try:
            while start < size:
                if buffer[start] in b"\r\n" and (run := _EMPTY_LINES(buffer, start)):
                    self._count(run[0].count(b"\n"))
                    start = run.end()
                    continue
                wanted = self._wanted or self._measured(buffer, start)
                if not wanted or start + wanted > size:
                    self._wanted = wanted
                    break
                messages.append(buffer[start : start + wanted])
                start += wanted
                self._scanned = self._wanted = 0
                self._lone = False
        except ParseError as error:
            self.fault, self._buffer, self.partial = error, b"", False
            if not messages:
                raise
        else:
            self._buffer, self.partial = buffer[start:], start < size
        return messages

    def pinged(self) -> None:
        """A keep-alive of ours is on its way: the next CRLF that comes alone answers it."""
        self._awaited, self._lone = True, False

    def take_pings(self) -> int:
        """How many `pings` came since last asked."""
        pings, self.pings = self.pings, 0
        return pings

    def _measured(self, buffer: bytes, start: int) -> int:
        """How long the message is; 0 before its head is whole, which is looked at once, whatever drips in."""
        found = END_OF_HEAD.search(buffer, start + self._scanned)
        if found is None:
            if len(buffer) - start > self._max_bytes:
                raise ParseError(f"message head longer than {self._max_bytes} bytes", 513)
            self._scanned = max(len(buffer) - start - 2, 0)
            return 0
        end = found.end()
        lengths = _LENGTHS(buffer, start, end)
        if len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < 10:
            size = end - start + int(lengths[0])  # as nearly all write it, and once
        else:
            size = end - start + _odd_length(lengths, buffer[start:end])
        if size > self._max_bytes:
            raise _with_partial(ParseError(f"message of {size} bytes is too large", 513), buffer[start:end])
        return size

    def _count(self, ends: int) -> None:
        """Of so many line ends between messages, which are pings and which are pongs."""
        # A CRLF that came alone may have been the first half of a ping, or a pong. Both are served: a pong
        # too many does no harm, an unanswered ping ends the connection.
        pairs, odd = divmod(ends + self._lone, 2)
        self.pings += pairs
        self.pongs += odd
        self._lone = odd == 1 and not self._awaited
        if odd:
            self._awaited = False


def _odd_length(lengths: list[bytes], head: bytes) -> int:
    values = {value.strip() for value in lengths}
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
