"""The transactions under way, and what is left of those that are over (`proxy.ua.tombstones`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from proxy.sip.transaction_key import TransactionKey
from proxy.ua.timer_queue import Alarm, Alarms
from proxy.ua.tombstones import Late

GRAIN_S = 0.05
"""What ends within this time is forgotten in one go."""

T = TypeVar("T")


class Table(Generic[T]):
    """Transactions by their key. Those that linger equally long share one alarm."""

    def __init__(self, alarms: Alarms, forgotten: Callable[[TransactionKey], None] | None = None) -> None:
        """`forgotten` hears of every key that is free again; None if nobody asks."""
        self._alarms, self._forgotten = alarms, forgotten
        self._known: dict[TransactionKey, T | Late] = {}
        self.get: Callable[[TransactionKey], T | Late | None] = self._known.get
        """The transaction of a key, or what is left of it."""
        self._live: set[TransactionKey] = set()
        self._queues: dict[float, deque[tuple[float, TransactionKey, Late]]] = {}
        """Those that linger, by how long they do: what began to first is over first."""
        self._timers: dict[float, Alarm] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def under_way(self) -> int:
        """How many are not over."""
        return len(self._live)

    def enter(self, key: TransactionKey, transaction: T) -> None:
        """A new one; it takes the place of what had its key."""
        self._known[key] = transaction
        self._live.add(key)

    def linger(self, key: TransactionKey, late: Late, until: float, wait_s: float) -> None:
        """For `wait_s`, to loop time `until` and `GRAIN_S` longer at most, this is what is left of it."""
        self._known[key] = late
        self._live.discard(key)
        queue = self._queues.get(wait_s)
        if queue is None:
            queue = self._queues[wait_s] = deque()
            self._timers[wait_s] = self._alarms.at(until, partial(self._due, wait_s))
        queue.append((until, key, late))

    def forget(self, key: TransactionKey, gone: T | Late) -> None:
        """It is over, unless another has its place."""
        if self._known.get(key) is gone:
            del self._known[key]
            self._live.discard(key)
            if self._forgotten is not None:
                self._forgotten(key)

    def live(self) -> list[T]:
        """Those that are under way."""
        return [self._known[key] for key in self._live]  # type: ignore[misc]  # those that live are no `Late`

    def clear(self) -> None:
        """Forget all, without a word."""
        for timer in self._timers.values():
            timer.cancel()
        for table in (self._known, self._live, self._queues, self._timers):
            table.clear()

    def _due(self, wait_s: float) -> None:
        queue, known, forgotten = self._queues[wait_s], self._known, self._forgotten
        now = max(self._alarms.now(), queue[0][0])
        while queue and queue[0][0] <= now:
            _, key, late = queue.popleft()
            if known.get(key) is late:  # nothing else has its place
                del known[key]
                if forgotten is not None:
                    forgotten(key)
        if queue:
            due = max(queue[0][0], now + GRAIN_S)
            self._timers[wait_s] = self._alarms.at(due, partial(self._due, wait_s))
        else:
            del self._queues[wait_s], self._timers[wait_s]
