"""Framing of SIP messages on a byte stream, TCP or TLS (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

from __future__ import annotations

import re

from proxy.sip.errors import ParseError
from proxy.sip.grammar import number, once
from proxy.sip.message import END_OF_HEAD, Request, parse_message

_LENGTHS = re.compile(rb"(?i)\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)").findall
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+").match


class StreamFramer:
    """Splits the bytes of one connection into messages, whatever pieces they arrive in.

    A framing error is final: there is no way to resynchronise. It is raised once every message before it has
    been returned, and by each `feed` from then on; `fault` is set at once.
    """

    __slots__ = (
        "_buffer",
        "_max_bytes",
        "_message_size",
        "_pong_expected",
        "_scanned",
        "_single_crlf",
        "fault",
        "partial",
        "pings",
        "pongs",
    )

    fault: ParseError | None
    """The framing error, set as soon as it is met, even if that `feed` still returned messages."""

    partial: bool
    """Whether the buffer holds the beginning of an incomplete message."""

    pings: int
    """Double CRLFs received and not yet taken by `take_pings`: each is due a CRLF (RFC 5626 §4.4.1)."""

    pongs: int
    """Single CRLFs received: answers to our keep-alives."""

    def __init__(self, max_bytes: int = 65536) -> None:
        """`max_bytes` limits the size of one message, and so the memory that a peer can take."""
        self._buffer = b""
        self._max_bytes = max_bytes
        self._scanned = 0
        self._message_size = 0  # size of the current message in bytes; 0 until its head is complete
        self.pings = 0
        self._single_crlf = self._pong_expected = False
        self.pongs = 0
        self.partial = False
        self.fault = None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by these bytes, in order; raises ParseError once framing has failed.

        Status 513 for a message of more than `max_bytes`, 400 for a missing or bad Content-Length.
        """
        if self.fault is not None:
            raise self.fault
        messages: list[bytes] = []
        buffer, start = self._buffer + data if self._buffer else data, 0
        size = len(buffer)
        try:
            while start < size:
                if buffer[start] in b"\r\n" and (run := _EMPTY_LINES(buffer, start)):
                    self._count_pings(run[0].count(b"\n"))
                    start = run.end()
                    continue
                wanted = self._message_size or self._measure(buffer, start)
                if not wanted or start + wanted > size:
                    self._message_size = wanted
                    break
                messages.append(buffer[start : start + wanted])
                start += wanted
                self._scanned = self._message_size = 0
                self._single_crlf = False
        except ParseError as error:
            self.fault, self._buffer, self.partial = error, b"", False
            if not messages:
                raise
        else:
            self._buffer, self.partial = buffer[start:], start < size
        return messages

    def note_ping_sent(self) -> None:
        """Note that we have sent a keep-alive: the next single CRLF is its pong."""
        self._pong_expected, self._single_crlf = True, False

    def take_pings(self) -> int:
        """The number of `pings` since the last call."""
        pings, self.pings = self.pings, 0
        return pings

    def _measure(self, buffer: bytes, start: int) -> int:
        """Size of the message at `start`; 0 until its head is complete. Scans no byte of the head twice."""
        found = END_OF_HEAD.search(buffer, start + self._scanned)
        if found is None:
            if len(buffer) - start > self._max_bytes:
                raise ParseError(f"message head longer than {self._max_bytes} bytes", 513)
            self._scanned = max(len(buffer) - start - 2, 0)
            return 0
        end = found.end()
        lengths = _LENGTHS(buffer, start, end)
        if len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < 10:
            size = end - start + int(lengths[0])  # the usual form, and only one
        else:
            size = end - start + _unusual_length(lengths, buffer[start:end])
        if size > self._max_bytes:
            raise _with_partial(ParseError(f"message of {size} bytes is too large", 513), buffer[start:end])
        return size

    def _count_pings(self, ends: int) -> None:
        """Count the pings and pongs in a run of `ends` line ends between messages."""
        # A single CRLF may be a pong or the first half of a ping, so it counts as either: an extra pong does
        # no harm, while an unanswered ping makes the peer close the connection.
        pairs, odd = divmod(ends + self._single_crlf, 2)
        self.pings += pairs
        self.pongs += odd
        self._single_crlf = odd == 1 and not self._pong_expected
        if odd:
            self._pong_expected = False


def _unusual_length(lengths: list[bytes], head: bytes) -> int:
    values = {value.strip() for value in lengths}
    try:
        if len(values) != 1:
            raise ParseError("conflicting values of content-length" if values else "missing Content-Length")
        return number(once(values.pop().decode("latin-1")), "Content-Length", 2**31)
    except ParseError as error:
        raise _with_partial(error, head) from None


def _with_partial(error: ParseError, head: bytes) -> ParseError:
    """`error` with the request it concerns in `partial`, if this is the head of one."""
    try:
        message = parse_message(head)
    except ParseError as worse:
        error.partial = worse.partial
    else:
        error.partial = message if isinstance(message, Request) else None
    return error
