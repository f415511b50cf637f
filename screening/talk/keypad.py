"""Collects the DTMF keys that a caller presses, to report them to the agent together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PAUSE_S = 1.5
"""An input is complete after this long without a key."""
MAX_KEYS = 32
"""Maximum keys of one input; more are dropped."""


class Keypad:
    """Collects the keys of one caller."""

    def __init__(self, complete: Callable[[str], None]) -> None:
        """`complete` is called with each finished input."""
        self._complete = complete
        self._keys = ""
        self._due: asyncio.TimerHandle | None = None

    def pressed(self, key: str) -> None:
        if len(self._keys) < MAX_KEYS:
            self._keys += key
        self.close()
        self._due = asyncio.get_running_loop().call_later(PAUSE_S, self._done)

    def close(self) -> None:
        """Cancel the pending report. Idempotent."""
        if self._due is not None:
            self._due.cancel()

    def _done(self) -> None:
        keys, self._keys = self._keys, ""
        self._complete(keys)
