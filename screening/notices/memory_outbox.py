"""Outbox in memory, for processes without a database."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import replace

from screening.notices.delivery import Letter, Waiting
from screening.notices.retry_schedule import LONGEST_S

MAX = 10_000
"""Maximum waiting deliveries, a few kilobytes each; more are rejected."""


class MemoryOutbox:
    """Implements `Outbox`. What `waiting` returns belongs to its caller until it is settled."""

    def __init__(self, most: int = MAX) -> None:
        self._most = most
        self._queues: dict[str, list[tuple[float, int, str]]] = {}
        self._held: dict[str, tuple[int, Letter]] = {}
        """Each delivery by id, with its sequence number in a queue; 0 while it is being attempted."""
        self._settled: dict[str, None] = {}
        """Ids of finished deliveries, oldest first, so that they are not sent again."""
        self._put = 0

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        too_many = []
        for letter in letters:
            place, known = self._held.get(letter.id, (-1, letter))
            new = place < 0 and letter.id not in self._settled
            if (new and len(self._held) < self._most) or (place > 0 and known.tries == 0):
                self._keep(letter)
            elif new:
                too_many.append(letter)
        return too_many

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        queue, found = self._queues.get(target, []), list[Letter]()
        while queue and len(found) < most:
            due, place, name = queue[0]
            if (held := self._held.get(name)) is None or held[0] != place:
                heapq.heappop(queue)  # it was replaced or rescheduled
            elif now < due <= now + LONGEST_S:
                return Waiting(found, due)
            else:
                heapq.heappop(queue)
                found.append(held[1])
                self._held[name] = (0, held[1])
        return Waiting(found)

    def done(self, letter: Letter) -> None:
        self._held.pop(letter.id, None)
        self._settled[letter.id] = None
        if len(self._settled) > self._most:
            del self._settled[next(iter(self._settled))]

    def later(self, letter: Letter, due: float, why: str) -> None:
        self._keep(replace(letter, due=due))

    def given_up(self, letter: Letter, why: str) -> None:
        self.done(letter)

    async def abandon(self, targets: Collection[str]) -> int:
        return 0  # the targets do not change within one run

    def lost(self) -> int:
        return len(self._held)

    def _keep(self, letter: Letter) -> None:
        self._put += 1
        self._held[letter.id] = (self._put, letter)
        heapq.heappush(self._queues.setdefault(letter.target, []), (letter.due, self._put, letter.id))
