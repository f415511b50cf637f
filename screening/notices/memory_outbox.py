"""Outbox in memory, for processes without a database."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import replace

from screening.notices.delivery import Delivery, Due
from screening.notices.retry_schedule import MAX_RETRY_DELAY_S

MAX = 10_000
"""Maximum waiting deliveries, a few kilobytes each; more are rejected."""


class MemoryOutbox:
    """Implements `Outbox`. What `take_due` returns belongs to its caller until it is settled."""

    def __init__(self, limit: int = MAX) -> None:
        self._max_waiting = limit
        self._queues: dict[str, list[tuple[float, int, str]]] = {}
        self._held: dict[str, tuple[int, Delivery]] = {}
        """Each delivery by id, with its sequence number in a queue; 0 while it is being attempted."""
        self._settled: dict[str, None] = {}
        """Ids of finished deliveries, oldest first, so that they are not sent again."""
        self._put = 0

    def put(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        too_many = []
        for delivery in deliveries:
            place, known = self._held.get(delivery.id, (-1, delivery))
            new = place < 0 and delivery.id not in self._settled
            if (new and len(self._held) < self._max_waiting) or (place > 0 and known.tries == 0):
                self._keep(delivery)
            elif new:
                too_many.append(delivery)
        return too_many

    async def take_due(self, target: str, now: float, limit: int) -> Due:
        queue, found = self._queues.get(target, []), list[Delivery]()
        while queue and len(found) < limit:
            due, place, name = queue[0]
            if (held := self._held.get(name)) is None or held[0] != place:
                heapq.heappop(queue)  # it was replaced or rescheduled
            elif now < due <= now + MAX_RETRY_DELAY_S:
                return Due(found, due)
            else:
                heapq.heappop(queue)
                found.append(held[1])
                self._held[name] = (0, held[1])
        return Due(found)

    def done(self, delivery: Delivery) -> None:
        self._held.pop(delivery.id, None)
        self._settled[delivery.id] = None
        if len(self._settled) > self._max_waiting:
            del self._settled[next(iter(self._settled))]

    def retry(self, delivery: Delivery, due: float, why: str) -> None:
        self._keep(replace(delivery, due=due))

    def given_up(self, delivery: Delivery, why: str) -> None:
        self.done(delivery)

    async def abandon(self, targets: Collection[str]) -> int:
        return 0  # the targets do not change within one run

    def unsaved(self) -> int:
        return len(self._held)

    def _keep(self, delivery: Delivery) -> None:
        self._put += 1
        self._held[delivery.id] = (self._put, delivery)
        heapq.heappush(self._queues.setdefault(delivery.target, []), (delivery.due, self._put, delivery.id))
