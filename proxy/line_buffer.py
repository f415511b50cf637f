"""Buffers lines for a moment, so that many are rendered and written together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import Generic, Protocol, TypeVar

BATCH_S = 0.05
"""How long a line waits. Rendering and writing each by itself cost a twelfth of a busy call, since other work
evicts that code from the processor's caches; batches are small enough not to delay others."""

T = TypeVar("T")


class Out(Protocol):
    """What is used of a file."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class LineBuffer(Generic[T]):
    """Writes a line for each entry, whole and in order; at once if no event loop runs."""

    def __init__(
        self,
        out: Out,
        lines: Callable[[list[T]], Iterable[str]],
        told: Callable[[OSError | None, int], None] | None = None,
    ) -> None:
        """`lines` renders entries without line ends, later: it sees them as they are then."""
        self._out, self._lines, self._told = out, lines, told
        self._lost, self._flushing = 0, Lock()
        self.waiting: list[T] = []
        """Hot paths append to it instead of calling `write`, then schedule a flush if none is."""
        self.flush_scheduled = False
        """Whether a flush is scheduled."""

    def write(self, entry: T) -> None:
        """Append an entry, to be written soon."""
        self.waiting.append(entry)
        if not self.flush_scheduled:
            self.schedule_flush()

    def schedule_flush(self) -> None:
        """Schedule a flush."""
        self.flush_scheduled = True
        try:
            asyncio.get_running_loop().call_later(BATCH_S, self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write all entries. If the disk is full or the reader is gone, they are lost; nothing is raised."""
        self.flush_scheduled = False
        with self._flushing:  # other threads may append or flush meanwhile
            entries = self.waiting[:]
            del self.waiting[: len(entries)]
        if not entries:
            return
        lines = [*self._lines(entries), ""]
        try:
            self._out.write("\n".join(lines))
            self._out.flush()
        except ValueError:
            pass  # the stream is closed: nobody reads it
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
