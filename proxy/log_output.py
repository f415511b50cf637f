"""Log output that never blocks: if the reader of the log stalls, lines are lost but no call is delayed."""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TextIO

MAX_BYTES = 1024 * 1024
"""The most that is buffered for a stalled reader; lines beyond that are dropped."""
RETRY_S = 0.2
"""Interval between attempts to write what is buffered, if nothing else is logged meanwhile."""
EXIT_WAIT_S = 1.0
"""How long to wait for the reader when the process exits."""
_MAX_WRITE = select.PIPE_BUF
"""A pipe or socket that polls as writable takes this many bytes without blocking."""


class LogOutput:
    """A pipe, terminal or socket, written to only while it has room. Implements what is needed of a TextIO.

    The descriptor itself is not made non-blocking: that would affect every other process that shares it.
    """

    def __init__(self, out: TextIO, lost: Callable[[int], None]) -> None:
        """`lost` is called with the number of dropped lines once the reader has caught up."""
        self._out, self._file, self._on_lost = out, _unblocking(out.fileno()), lost
        self._pending, self._lost = bytearray(), 0
        self._mutex, self._retry_scheduled = Lock(), False
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLOUT)
        atexit.register(self._flush_at_exit)

    def write(self, text: str, /) -> int:
        """Buffer the text; drop all of it if too much is buffered already."""
        with self._mutex:
            if len(self._pending) > MAX_BYTES:
                self._lost += text.count("\n")
            else:
                self._pending += text.encode(errors="backslashreplace")
        return len(text)

    def flush(self) -> None:
        """Write as much as there is room for now, and the rest later.

        Raises OSError if the reader has closed its end, ValueError if the stream is closed.
        """
        with self._mutex:
            self._drain()
            lost = 0 if self._pending else self._lost
            self._lost -= lost
        if self._pending:
            self._later()
        if lost:
            self._on_lost(lost)

    def close(self) -> None:
        """Write as much as there is room for, and close the stream."""
        with suppress(OSError, ValueError):
            self.flush()
        if not self._out.closed and self._file != self._out.fileno():
            os.close(self._file)
        self._out.close()

    def _drain(self, patience_s: float = 0.0) -> None:
        if self._out.closed:
            raise ValueError("the stream is closed")
        try:
            while self._pending and self._poll.poll(1000 * patience_s):
                written = os.write(self._file, bytes(self._pending[:_MAX_WRITE]))
                del self._pending[:written]
        except BlockingIOError:
            pass  # a terminal polls as writable with less room than that
        except OSError:
            self._pending.clear()
            raise

    def _later(self) -> None:
        if not self._retry_scheduled:
            with suppress(RuntimeError):  # without an event loop, the next line triggers the write
                asyncio.get_running_loop().call_later(RETRY_S, self._again)
                self._retry_scheduled = True

    def _again(self) -> None:
        self._retry_scheduled = False
        with suppress(OSError, ValueError):
            self.flush()

    def _flush_at_exit(self) -> None:
        with self._mutex, suppress(OSError, ValueError):
            self._drain(EXIT_WAIT_S)


def _unblocking(file: int) -> int:
    """Reopen a terminal non-blocking for us alone, since its room may be a single byte.

    Other files are returned as they are.
    """
    if os.isatty(file):
        with suppress(OSError):  # the terminal belongs to another user
            return os.open(f"/dev/fd/{file}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return file


def may_block(out: TextIO) -> bool:
    """Whether a write may block as long as the reader likes: so for every descriptor but a regular file's."""
    try:
        return not stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, ValueError):  # io.UnsupportedOperation is both
        return False
