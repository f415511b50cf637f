"""Letters that wait in the process alone: where nothing is to be kept, and where the store cannot be had."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

from screening.notices.letter import Letter, Waiting
from screening.notices.schedule import LONGEST_S

MOST = 10_000
"""Letters that wait at a time, a few kilobytes each; more than these are not kept."""


class MemoryOutbox:
    """Implements `Outbox`; what is handed out by `waiting` is its taker's until it is settled."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._queues: dict[str, list[tuple[float, int, Letter]]] = {}
        self._put = 0
        self._held = 0

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        room = max(self._most - self._held, 0)
        for letter in letters[:room]:
            self._keep(letter, letter.due)
        self._held += len(letters[:room])
        return letters[room:]

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        queue, found = self._queues.get(target, []), list[Letter]()
        while queue and len(found) < most and not now < queue[0][0] <= now + LONGEST_S:
            found.append(heapq.heappop(queue)[2])
        return Waiting(found, queue[0][0] if queue else None)

    def done(self, letter: Letter) -> None:
        self._held -= 1

    def later(self, letter: Letter, due: float, why: str) -> None:
        self._keep(letter, due)

    def given_up(self, letter: Letter, why: str) -> None:
        self._held -= 1

    async def abandon(self, targets: Collection[str]) -> int:
        return 0  # its letters are of this run, whose targets do not change

    def lost(self) -> int:
        return self._held

    def _keep(self, letter: Letter, due: float) -> None:
        self._put += 1
        heapq.heappush(self._queues.setdefault(letter.target, []), (due, self._put, letter))
