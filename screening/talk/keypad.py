"""The keys that a caller presses: told to the agent together, as people press several in a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PAUSE_S = 1.5
"""After so long without a key, what was pressed is complete."""
MAX = 32
"""Keys of one go; more are not told."""


class Keypad:
    """Collects the keys of one caller."""

    def __init__(self, complete: Callable[[str], None]) -> None:
        """`complete` is given what was pressed."""
        self._complete = complete
        self._keys = ""
        self._due: asyncio.TimerHandle | None = None

    def pressed(self, key: str) -> None:
        if len(self._keys) < MAX:
            self._keys += key
        self.close()
        self._due = asyncio.get_running_loop().call_later(PAUSE_S, self._done)

    def close(self) -> None:
        """Nothing more is told; again does nothing."""
        if self._due is not None:
            self._due.cancel()

    def _done(self) -> None:
        keys, self._keys = self._keys, ""
        self._complete(keys)
