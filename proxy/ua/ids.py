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


class RandomIds:
    """Ids nobody can guess: in-dialog requests are matched by them alone."""

    def branch(self) -> str:
        return BRANCH_COOKIE + secrets.token_hex(10)

    def tag(self) -> str:
        """At least 32 bits are asked for (§19.3); 64 are given."""
        return secrets.token_hex(8)

    def call_id(self) -> str:
        return secrets.token_hex(16)

    def token(self) -> str:
        """The user part of our Contact, and the name of a call in the log."""
        return secrets.token_hex(6)

    def bits(self, count: int) -> int:
        return secrets.randbits(count)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * secrets.randbits(32) / (1 << 32)
