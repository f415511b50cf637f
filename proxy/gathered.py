"""Lines on their way to a file: they wait a moment for others, to be made and written in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TextIO, TypeVar

GATHER_S = 0.05
"""How long a line waits. Making and writing each by itself cost a twelfth of a busy call, since between two
lines the processor has much else in its caches; so few wait that nobody else waits long for them.
"""

T = TypeVar("T")


class Gathered(Generic[T]):
    """Puts out a line for each entry, whole and in order; at once where no event loop runs."""

    def __init__(self, out: TextIO, line: Callable[[T], str]) -> None:
        """`line` makes a line of an entry, without its end; it does so later, with what is in it then."""
        self._out, self._line = out, line
        self._entries: list[T] = []

    def write(self, entry: T) -> None:
        """Have one line written soon."""
        self._entries.append(entry)
        if len(self._entries) == 1:
            try:
                asyncio.get_running_loop().call_later(GATHER_S, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        entries, self._entries = self._entries, []
        lines = [f"{self._line(entry)}\n" for entry in entries]
        with suppress(ValueError):  # the stream is closed: there is nobody to read
            self._out.write("".join(lines))
            self._out.flush()
