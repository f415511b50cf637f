"""The only source of randomness: branches, tags, Call-IDs, tokens."""

from __future__ import annotations

import secrets
from typing import Protocol

BRANCH_COOKIE = "z9hG4bK"
"""Prefix of every branch (RFC 3261 §8.1.1.7)."""


class Ids(Protocol):
    """Random values for the stack. Tests use a counter instead, so that wire traces compare with ``==``."""

    def branch(self) -> str: ...
    def tag(self) -> str: ...
    def call_id(self) -> str: ...
    def token(self) -> str: ...
    def bits(self, count: int) -> int: ...
    def uniform(self, low: float, high: float) -> float: ...


BATCH = 256
"""How many values are fetched from the system at a time."""
VALUE_BYTES = 16
"""Random bytes in each: enough for the longest value, a Call-ID."""


class RandomIds:
    """Unguessable values: the tags and Call-ID alone admit a request to a dialog."""

    def __init__(self) -> None:
        self._store: list[str] = []

    def branch(self) -> str:
        return BRANCH_COOKIE + (self._store or self._filled()).pop()[:20]

    def tag(self) -> str:
        """64 random bits; §19.3 requires 32."""
        return (self._store or self._filled()).pop()[:16]

    def call_id(self) -> str:
        return (self._store or self._filled()).pop()

    def token(self) -> str:
        """The user part of our Contact, or the name of a call in the log."""
        return (self._store or self._filled()).pop()[:12]

    def bits(self, count: int) -> int:
        """A random number of `count` bits; a key may need more than one stored value has."""
        if count > 8 * VALUE_BYTES:
            return secrets.randbits(count)
        digits = (self._store or self._filled()).pop()[: (count + 3) // 4]
        return int(digits, 16) >> (-count % 4)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.bits(32) / (1 << 32)

    def _filled(self) -> list[str]:
        """Refill the store with strings of hexadecimal digits, and return it."""
        self._store = secrets.token_bytes(BATCH * VALUE_BYTES).hex(" ", VALUE_BYTES).split()
        return self._store
