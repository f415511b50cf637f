"""The one source of randomness: branches, tags, Call-IDs, tokens."""

from __future__ import annotations

import secrets
from typing import Protocol

BRANCH_COOKIE = "z9hG4bK"
"""Every branch begins with it (RFC 3261 §8.1.1.7)."""


class Ids(Protocol):
    """What the stack asks of chance. Tests count instead, so that wire traces compare with ``==``."""

    def branch(self) -> str: ...
    def tag(self) -> str: ...
    def call_id(self) -> str: ...
    def token(self) -> str: ...
    def bits(self, count: int) -> int: ...
    def uniform(self, low: float, high: float) -> float: ...


STORE_BYTES = 4096
"""Random bytes fetched from the system in one go, and written as hexadecimal digits at once."""


class RandomIds:
    """Ids nobody can guess: in-dialog requests are matched by them alone."""

    def __init__(self) -> None:
        self._store, self._used = "", 2 * STORE_BYTES

    def branch(self) -> str:
        return BRANCH_COOKIE + self._hex(10)

    def tag(self) -> str:
        """At least 32 bits are asked for (§19.3); 64 are given."""
        return self._hex(8)

    def call_id(self) -> str:
        return self._hex(16)

    def token(self) -> str:
        """The user part of our Contact, and the name of a call in the log."""
        return self._hex(6)

    def bits(self, count: int) -> int:
        return int(self._hex((count + 7) // 8), 16) >> (-count % 8)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.bits(32) / (1 << 32)

    def _hex(self, count: int) -> str:
        end = self._used + 2 * count
        if end > 2 * STORE_BYTES:
            self._store, self._used, end = secrets.token_hex(STORE_BYTES), 0, 2 * count
        taken = self._store[self._used : end]
        self._used = end
        return taken
