"""Limits how many passwords of other accounts a registered phone may try."""

from __future__ import annotations

from collections.abc import Iterable

MAX_GUESSES = 10
"""Wrong passwords within `FORGIVEN_S`: as many as get a stranger banned by default."""
FORGIVEN_S = 600.0
"""After this long without a wrong password a phone starts over."""


class GuessLimit:
    """Counts the wrong passwords that each registered phone has sent for other accounts.

    They count against the phone that sends them, over whatever flow it has registered. Counted by source they
    would bar everybody behind its NAT, and counted by the account that is guessed they would let one phone
    lock another out.
    """

    def __init__(self) -> None:
        self._guesses: dict[str, tuple[int, float]] = {}
        """How many wrong passwords each phone has sent, and when the last one."""

    def is_reached(self, names: Iterable[str], now: float) -> bool:
        """Whether one of these phones, which share a flow, has sent too many."""
        return any(self._count(name, now) >= MAX_GUESSES for name in names)

    def add(self, names: Iterable[str], now: float) -> bool:
        """Count one wrong password; returns whether the limit is reached by it."""
        before = self.is_reached(names, now)
        for name in names:
            self._guesses[name] = self._count(name, now) + 1, now
        return not before and self.is_reached(names, now)

    def _count(self, name: str, now: float) -> int:
        count, last = self._guesses.get(name, (0, now))
        return count if now - last < FORGIVEN_S else 0
