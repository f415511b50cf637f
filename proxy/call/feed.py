"""What happens in the calls as it happens, for those who listen: no call ever waits for one of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

MAX_KEPT = 1000
"""Events that are kept for listeners who were away."""
MAX_WAITING = 256
"""Events that one listener may be behind; then he is cut off."""
AFTERWARDS_S = 300.0
"""How long events are kept once nobody listens any more."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in one call."""

    number: int
    """Counts from 1, over all calls."""
    call: str
    name: str
    """``began``, ``step``, ``leg``, ``line``, ``decision``, ``settled`` or ``over``."""
    at: datetime
    told: dict[str, object]
    """More of it, by the name of the event; plain values."""


class CutOff(Exception):
    """This listener gets no more; the message says why."""


class Listener:
    """One who listens, with what he has not heard yet."""

    def __init__(self, call: str | None) -> None:
        self._call = call
        self._waiting: deque[Event] = deque()
        self._cut: str | None = None
        self._news = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Take an event in, if it is of a call that is listened to; returns at once."""
        if self._call is not None and event.call != self._call:
            return
        if len(self._waiting) >= MAX_WAITING:
            return self.cut("you read too slowly")
        self._waiting.append(event)
        self._news.set()

    def cut(self, why: str) -> None:
        """Nothing more comes after what is waiting."""
        self._cut = self._cut or why
        self._news.set()

    async def next(self) -> Event:
        """The next event; raises CutOff when there will be none."""
        while not self._waiting:
            if self._cut is not None:
                raise CutOff(self._cut)
            self._news.clear()
            await self._news.wait()
        if self._cut is not None:  # who is late already gets no more of it
            self._waiting.clear()
            raise CutOff(self._cut)
        return self._waiting.popleft()


class Feed:
    """The events of all calls. Costs a comparison while nobody listens."""

    def __init__(self, wall_clock: Callable[[], datetime]) -> None:
        self._wall_clock = wall_clock
        self._listeners: set[Listener] = set()
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._number = 0
        self._wanted_until = 0.0
        self._closed = False

    @property
    def listened_to(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def latest(self) -> int:
        """The number of the last event."""
        return self._number

    def tell(self, call: str, name: str, /, **told: object) -> None:
        """Something has happened; returns at once."""
        if not self._listeners and asyncio.get_running_loop().time() >= self._wanted_until:
            return
        self._number += 1
        event = Event(self._number, call, name, self._wall_clock(), told)
        self._kept.append(event)
        for listener in self._listeners:
            listener.hear(event)

    def since(self, number: int, call: str | None) -> list[Event] | None:
        """The events after the one of this number, None if some of them are kept no more."""
        first = self._kept[0].number if self._kept else self._number + 1
        if not first - 1 <= number <= self._number:
            return None
        return [event for event in self._kept if event.number > number and call in (None, event.call)]

    @contextmanager
    def listening(self, call: str | None = None) -> Iterator[Listener]:
        """Listen to one call, or to all, for the time of a ``with``."""
        loop = asyncio.get_running_loop()
        if not self._listeners and loop.time() >= self._wanted_until:
            # What happened meanwhile was not kept: numbers go on, so that nobody takes it for whole.
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
        """We stop: whoever listens is told so."""
        self._closed = True
        for listener in self._listeners:
            listener.cut("the service is stopping")
