"""A table of live transactions and of the tombstones of terminated ones (`proxy.ua.tombstones`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from proxy.sip.transaction_key import TransactionKey
from proxy.ua.timer_queue import Timer, TimerQueue
from proxy.ua.tombstones import Tombstone

GRANULARITY_S = 0.05
"""Tombstones that expire within this time of each other are removed together."""

T = TypeVar("T")


class TransactionTable(Generic[T]):
    """Transactions by key. Tombstones that last equally long share one timer."""

    def __init__(
        self, timer_queue: TimerQueue, on_removed: Callable[[TransactionKey], None] | None = None
    ) -> None:
        """`on_removed` is called with every key that is removed."""
        self._timer_queue, self._on_removed = timer_queue, on_removed
        self._known: dict[TransactionKey, T | Tombstone] = {}
        self.get: Callable[[TransactionKey], T | Tombstone | None] = self._known.get
        """Returns the transaction of a key, or its tombstone."""
        self._live: set[TransactionKey] = set()
        self._queues: dict[float, deque[tuple[float, TransactionKey, Tombstone]]] = {}
        """Tombstones by lifetime, each queue in order of expiry."""
        self._timers: dict[float, Timer] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def live_count(self) -> int:
        """How many transactions have not terminated."""
        return len(self._live)

    def enter(self, key: TransactionKey, transaction: T) -> None:
        """Add a transaction, in place of whatever had its key."""
        self._known[key] = transaction
        self._live.add(key)

    def linger(self, key: TransactionKey, tombstone: Tombstone, until: float, wait_s: float) -> None:
        """Replace a transaction by its tombstone for `wait_s`.

        It is removed at loop time `until`, or `GRANULARITY_S` later at most.
        """
        self._known[key] = tombstone
        self._live.discard(key)
        queue = self._queues.get(wait_s)
        if queue is None:
            queue = self._queues[wait_s] = deque()
            self._timers[wait_s] = self._timer_queue.at(until, partial(self._due, wait_s))
        queue.append((until, key, tombstone))

    def forget(self, key: TransactionKey, gone: T | Tombstone) -> None:
        """Remove a transaction, unless its key has been taken over."""
        if self._known.get(key) is gone:
            del self._known[key]
            self._live.discard(key)
            if self._on_removed is not None:
                self._on_removed(key)

    def live(self) -> list[T]:
        """The transactions that have not terminated."""
        return [self._known[key] for key in self._live]  # type: ignore[misc]  # live keys never hold a tombstone

    def clear(self) -> None:
        """Remove everything, without calling `on_removed`."""
        for timer in self._timers.values():
            timer.cancel()
        for table in (self._known, self._live, self._queues, self._timers):
            table.clear()

    def _due(self, wait_s: float) -> None:
        queue, known, on_removed = self._queues[wait_s], self._known, self._on_removed
        now = max(self._timer_queue.now(), queue[0][0])
        while queue and queue[0][0] <= now:
            _, key, tombstone = queue.popleft()
            if known.get(key) is tombstone:  # the key has not been taken over
                del known[key]
                if on_removed is not None:
                    on_removed(key)
        if queue:
            due = max(queue[0][0], now + GRANULARITY_S)
            self._timers[wait_s] = self._timer_queue.at(due, partial(self._due, wait_s))
        else:
            del self._queues[wait_s], self._timers[wait_s]
