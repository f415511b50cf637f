"""Letters that wait in the process alone: where nothing is to be kept."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import replace

from screening.notices.delivery import Letter, Waiting
from screening.notices.retry_schedule import LONGEST_S

MAX = 10_000
"""Letters that wait at a time, a few kilobytes each; more than these are not kept."""


class MemoryOutbox:
    """Implements `Outbox`; what is handed out by `waiting` is its taker's until it is settled."""

    def __init__(self, most: int = MAX) -> None:
        self._most = most
        self._queues: dict[str, list[tuple[float, int, str]]] = {}
        self._held: dict[str, tuple[int, Letter]] = {}
        """Each letter by its id, with the number of its place in a queue; 0 while somebody has it."""
        self._settled: dict[str, None] = {}
        """What is not told again, the oldest first."""
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
                heapq.heappop(queue)  # another stands in its place
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
        return 0  # its letters are of this run, whose targets do not change

    def lost(self) -> int:
        return len(self._held)

    def _keep(self, letter: Letter) -> None:
        self._put += 1
        self._held[letter.id] = (self._put, letter)
        heapq.heappush(self._queues.setdefault(letter.target, []), (letter.due, self._put, letter.id))
