"""Lines on their way to a file: they wait a moment for others, to be made and written in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import Generic, Protocol, TypeVar

GATHER_S = 0.05
"""How long a line waits. Making and writing each by itself cost a twelfth of a busy call, since between two
lines the processor has much else in its caches; so few wait that nobody else waits long for them.
"""

T = TypeVar("T")


class Out(Protocol):
    """What is used of a file."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Gathered(Generic[T]):
    """Puts out a line for each entry, whole and in order; at once where no event loop runs."""

    def __init__(
        self,
        out: Out,
        lines: Callable[[list[T]], Iterable[str]],
        told: Callable[[OSError | None, int], None] | None = None,
    ) -> None:
        """`lines` makes a line of each entry, without its end; it does so later, with what is in them then.

        `told` hears why nothing can be written, once, and of how many lines so far; and with None that it
        goes on, and how many were lost meanwhile.
        """
        self._out, self._lines, self._told = out, lines, told
        self._lost, self._flushing = 0, Lock()
        self.waiting: list[T] = []
        """Whoever has no time for `write` appends to it, and calls `soon` unless that is `due`."""
        self.due = False
        """Whether they are written soon."""

    def write(self, entry: T) -> None:
        """Have one line written soon."""
        self.waiting.append(entry)
        if not self.due:
            self.soon()

    def soon(self) -> None:
        """Have what waits written in a moment, all of it."""
        self.due = True
        try:
            asyncio.get_running_loop().call_later(GATHER_S, self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A disk that is full, or a reader that has gone, costs these lines and no call."""
        self.due = False
        with self._flushing:  # any thread may append, meanwhile, or flush
            entries = self.waiting[:]
            del self.waiting[: len(entries)]
        if not entries:
            return
        lines = [*self._lines(entries), ""]
        try:
            self._out.write("\n".join(lines))
            self._out.flush()
        except ValueError:
            pass  # the stream is closed: there is nobody to read
        except OSError as error:
            first, self._lost = not self._lost, self._lost + len(entries)
            if first and self._told is not None:
                self._told(error, self._lost)
        else:
            lost, self._lost = self._lost, 0
            if lost and self._told is not None:
                self._told(None, lost)

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.flush()
        with suppress(OSError):
            self._out.close()
