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


STORE = 256
"""So many pieces of chance are fetched from the system in one go."""
PIECE_BYTES = 16
"""As many random bytes as the longest of them takes, a Call-ID."""


class RandomIds:
    """Ids nobody can guess: in-dialog requests are matched by them alone."""

    def __init__(self) -> None:
        self._store: list[str] = []

    def branch(self) -> str:
        return BRANCH_COOKIE + (self._store or self._filled()).pop()[:20]

    def tag(self) -> str:
        """At least 32 bits are asked for (§19.3); 64 are given."""
        return (self._store or self._filled()).pop()[:16]

    def call_id(self) -> str:
        return (self._store or self._filled()).pop()

    def token(self) -> str:
        """The user part of our Contact, and the name of a call in the log."""
        return (self._store or self._filled()).pop()[:12]

    def bits(self, count: int) -> int:
        """A number of so many bits; keys have more than a piece."""
        if count > 8 * PIECE_BYTES:
            return secrets.randbits(count)
        digits = (self._store or self._filled()).pop()[: (count + 3) // 4]
        return int(digits, 16) >> (-count % 4)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.bits(32) / (1 << 32)

    def _filled(self) -> list[str]:
        """The store, with pieces of hexadecimal digits in it again."""
        self._store = secrets.token_bytes(STORE * PIECE_BYTES).hex(" ", PIECE_BYTES).split()
        return self._store
