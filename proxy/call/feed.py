"""Live events of all calls for API clients; no call ever waits for a client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

MAX_KEPT = 1000
"""Events that are kept for listeners that reconnect."""
MAX_WAITING = 256
"""How many events a listener may lag behind before it is cut off."""
AFTERWARDS_S = 300.0
"""How long events are kept after the last listener has left."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one call."""

    number: int
    """Sequence number, from 1, over all calls."""
    call: str
    name: str
    """``began``, ``step``, ``leg``, ``line``, ``decision``, ``settled`` or ``over``."""
    at: datetime
    details: dict[str, object]
    """Details, which depend on `name`; plain values."""


class CutOff(Exception):
    """The listener gets no more events; the message says why."""


class Listener:
    """One listener's queue of events."""

    def __init__(self, call: str | None) -> None:
        self._call = call
        self._waiting: deque[Event] = deque()
        self._cut: str | None = None
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Queue an event, if it is of a call that is listened to; never blocks."""
        if self._call is not None and event.call != self._call:
            return
        if len(self._waiting) >= MAX_WAITING:
            return self.cut("you read too slowly")
        self._waiting.append(event)
        self._news.set()

    def cut(self, why: str) -> None:
        """Cut the listener off; `next` raises CutOff with this reason."""
        self._cut = self._cut or why
        self._news.set()

    async def next(self) -> Event:
        """The next event; raises CutOff when there will be none."""
        while not self._waiting:
            if self._cut is not None:
                raise CutOff(self._cut)
            self._news.clear()
            await self._news.wait()
        if self._cut is not None:  # a listener that lags gets nothing of its backlog
            self._waiting.clear()
            raise CutOff(self._cut)
        return self._waiting.popleft()


class Feed:
    """The events of all calls. Costs one comparison per event while nobody listens."""

    def __init__(self, wall_clock: Callable[[], datetime]) -> None:
        self._wall_clock = wall_clock
        self._listeners: set[Listener] = set()
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._number = 0
        self._wanted_until = 0.0
        self._closed = False

    @property
    def listener_count(self) -> int:
        """How many listeners there are."""
        return len(self._listeners)

    @property
    def latest(self) -> int:
        """The number of the latest event."""
        return self._number

    def publish(self, call: str, name: str, /, **details: object) -> None:
        """Publish an event; never blocks."""
        if not self._listeners and asyncio.get_running_loop().time() >= self._wanted_until:
            return
        self._number += 1
        event = Event(self._number, call, name, self._wall_clock(), details)
        self._kept.append(event)
        for listener in self._listeners:
            listener.put(event)

    def since(self, number: int, call: str | None) -> list[Event] | None:
        """The events after this number; None if some of them are not kept any more."""
        first = self._kept[0].number if self._kept else self._number + 1
        if not first - 1 <= number <= self._number:
            return None
        return [event for event in self._kept if event.number > number and call in (None, event.call)]

    @contextmanager
    def listening(self, call: str | None = None) -> Iterator[Listener]:
        """Listen to one call, or to all, for the time of a ``with`` block."""
        loop = asyncio.get_running_loop()
        if not self._listeners and loop.time() >= self._wanted_until:
            # Events since then were not kept: skip a number, so that a listener notices the gap.
            self._kept.clear()
            self._number += 1
        listener = Listener(call)
        if self._closed:
            listener.cut("the service is stopping")
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._wanted_until = loop.time() + AFTERWARDS_S

    def close(self) -> None:
        """Cut all listeners off: the service is stopping."""
        self._closed = True
        for listener in self._listeners:
            listener.cut("the service is stopping")
