"""Where the log goes, such that a reader who does not read costs lines, and no call a moment."""

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
"""So much waits for the reader; what comes then is lost."""
AGAIN_S = 0.2
"""Until what waits is tried again, where nothing else is said meanwhile."""
LAST_S = 1.0
"""How long the reader is waited for when the process ends."""
_AT_ONCE = select.PIPE_BUF
"""A pipe or socket that has room takes so much without blocking."""


class Outlet:
    """A pipe, a terminal or a socket, written to only while it has room. As much of a TextIO as is needed.

    What we were given is not made non-blocking: that would be so for every other process that has it, too.
    """

    def __init__(self, out: TextIO, lost: Callable[[int], None]) -> None:
        """`lost` is told how many lines were, once the reader is back."""
        self._out, self._file, self._told = out, _unblocking(out.fileno()), lost
        self._left, self._lost = bytearray(), 0
        self._turn, self._due = Lock(), False
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLOUT)
        atexit.register(self._last)

    def write(self, text: str, /) -> int:
        """Take it all, or nothing where too much waits."""
        with self._turn:
            if len(self._left) > MAX_BYTES:
                self._lost += text.count("\n")
            else:
                self._left += text.encode(errors="backslashreplace")
        return len(text)

    def flush(self) -> None:
        """Put out what there is room for, and the rest later. Raises OSError where the reader has gone, or
        ValueError where the stream is closed.
        """
        with self._turn:
            self._drain()
            lost = 0 if self._left else self._lost
            self._lost -= lost
        if self._left:
            self._later()
        if lost:
            self._told(lost)

    def close(self) -> None:
        """Put out what there is room for, and close it."""
        with suppress(OSError, ValueError):
            self.flush()
        if not self._out.closed and self._file != self._out.fileno():
            os.close(self._file)
        self._out.close()

    def _drain(self, patience_s: float = 0.0) -> None:
        if self._out.closed:
            raise ValueError("the stream is closed")
        try:
            while self._left and self._poll.poll(1000 * patience_s):
                written = os.write(self._file, bytes(self._left[:_AT_ONCE]))
                del self._left[:written]
        except BlockingIOError:
            pass  # a terminal has room for less
        except OSError:
            self._left.clear()
            raise

    def _later(self) -> None:
        if not self._due:
            with suppress(RuntimeError):  # without an event loop the next line takes it along
                asyncio.get_running_loop().call_later(AGAIN_S, self._again)
                self._due = True

    def _again(self) -> None:
        self._due = False
        with suppress(OSError, ValueError):
            self.flush()

    def _last(self) -> None:
        with self._turn, suppress(OSError, ValueError):
            self._drain(LAST_S)


def _unblocking(file: int) -> int:
    """The same for us alone, where it is a terminal, whose room may be a single byte; else as it is."""
    if os.isatty(file):
        with suppress(OSError):  # another user's
            return os.open(f"/dev/fd/{file}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return file


def blocks(out: TextIO) -> bool:
    """Whether writing to it may take as long as somebody else likes: no file, nor what is none of the
    system's.
    """
    try:
        return not stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, ValueError):  # io.UnsupportedOperation is both
        return False
