"""Limits how many passwords of other accounts a registered phone, or an authenticated trunk, may try."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

log = structlog.get_logger("screendoor")

Guesser = tuple[str, str]
"""What a peer is known as: "phone" or "trunk", and its name."""
MAX_GUESSES = 10
"""Wrong passwords within `FORGIVEN_S`: as many as get a stranger banned by default."""
FORGIVEN_S = 600.0
"""After this long without a wrong password a peer starts over."""


class GuessLimit:
    """Counts the wrong passwords that each phone or trunk, once it is known, has sent for other accounts.

    They count against the peer that sends them, over whatever flow it is known by. Counted by source they
    would bar everybody behind its NAT, and counted by the account that is guessed they would let one peer
    lock another out.
    """

    def __init__(self) -> None:
        self._guesses: dict[Guesser, tuple[int, float]] = {}
        """How many wrong passwords each peer has sent, and when the last one."""

    def is_reached(self, peers: Sequence[Guesser], now: float) -> bool:
        """Whether one of these peers, which share a flow, has sent too many."""
        return any(self._count(each, now) >= MAX_GUESSES for each in peers)

    def add(self, peers: Sequence[Guesser], account: str, now: float) -> None:
        """Count one wrong password for this account, and log it if the limit is reached by it."""
        before = self.is_reached(peers, now)
        for each in peers:
            self._guesses[each] = self._count(each, now) + 1, now
        if not before and self.is_reached(peers, now):
            kind, name = peers[0]
            log.warning(f"{kind} guesses passwords", **{kind: name}, of=account, barred_s=FORGIVEN_S)

    def _count(self, peer: Guesser, now: float) -> int:
        count, last = self._guesses.get(peer, (0, now))
        return count if now - last < FORGIVEN_S else 0
