"""Predictable ids, so that wire traces compare with `==`."""

from __future__ import annotations

from collections import Counter


class CountingIds:
    """Stands in for `proxy.ua.ids.Ids`; each kind has its own counter: `z9hG4bK1`, `tag1` …"""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._counted: Counter[str] = Counter()

    def branch(self) -> str:
        return f"z9hG4bK{self._prefix}{self._next('branch')}"

    def tag(self) -> str:
        return f"{self._prefix}tag{self._next('tag')}"

    def call_id(self) -> str:
        return f"{self._prefix}call{self._next('call')}"

    def token(self) -> str:
        return f"{self._prefix}token{self._next('token')}"

    def bits(self, count: int) -> int:
        return self._next("bits") % (1 << count)

    def uniform(self, low: float, high: float) -> float:
        """Always the middle."""
        return (low + high) / 2

    def _next(self, kind: str) -> int:
        self._counted[kind] += 1
        return self._counted[kind]
