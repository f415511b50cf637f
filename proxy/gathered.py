"""Lines on their way to a file: they wait a moment for others, to be written in one go."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TextIO

GATHER_S = 0.1
"""How long a line waits: writing each by itself cost a twentieth of a busy call."""


class Gathered:
    """Puts lines out, whole and in order; at once where no event loop runs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        """Have one line written soon; its end is added."""
        self._lines.append(f"{line}\n")
        if len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_later(GATHER_S, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        with suppress(ValueError):  # the stream is closed: there is nobody to read
            self._out.write("".join(lines))
            self._out.flush()
