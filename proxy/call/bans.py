"""Bans for strangers who persist: counted by source, in bounded memory whatever a flood may bring."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from proxy.transport.flow import Flow, source_of

T = TypeVar("T")

WINDOW_S = 60.0
"""A message of a stranger counts for one to two of these windows."""
MAX_SOURCES = 10_000
"""Limit to the sources that are counted, banned and exempt each; beyond it the oldest are dropped."""


@dataclass(slots=True)
class Ban:
    """The ban of one source."""

    until: float
    dropped: int = 0
    """Messages dropped since the ban began."""


class MessageCounter:
    """How much each source has sent in this window and the one before."""

    def __init__(self) -> None:
        self._since = 0.0
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def add(self, source: str, weight: int, now: float) -> tuple[int, bool]:
        """Count a message; returns the source's total, and whether this is its first in this window."""
        if now - self._since >= WINDOW_S or len(self._now) >= MAX_SOURCES:
            stale = now - self._since >= 2 * WINDOW_S
            self._before = {} if stale else self._now
            self._now, self._since = {}, now
        fresh = self._now.get(source, 0)
        self._now[source] = fresh + weight
        return fresh + weight + self._before.get(source, 0), fresh == 0

    def forget(self, source: str) -> None:
        """Start again at zero for this source."""
        self._now.pop(source, None)
        self._before.pop(source, None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for source, count in self._now.items():
            yield source, count + self._before.get(source, 0)
        for source, count in self._before.items():
            if source not in self._now:
                yield source, count


class Bans:
    """Bans sources that send `after` unwanted messages within one to two minutes, for `for_s` seconds.

    The source of a datagram can be forged, that of a connection cannot: messages over UDP get a source banned
    over UDP only. A source that has proved itself is never banned, so that nobody can have one of our peers
    silenced by sending in its name.
    """

    def __init__(self, after: int, for_s: float, clock: Callable[[], float]) -> None:
        """`for_s`: 0 bans nobody."""
        self._after, self._for_s, self._clock = after, for_s, clock
        self._tally, self._calls = MessageCounter(), MessageCounter()
        self._datagrams: dict[str, Ban] = {}
        self._streams: dict[str, Ban] = {}
        self._spared: dict[str, None] = {}

    def __len__(self) -> int:
        """How many sources are banned now."""
        now = self._clock()
        return sum(ban.until > now for ban in (self._datagrams | self._streams).values())

    def bars(self, flow: Flow) -> bool:
        """Whether the source of this flow is banned; counts the message as dropped if so."""
        barred = self._streams if flow.reliable else self._datagrams
        ban = barred.get(source_of(flow))
        if ban is None:
            return False
        if ban.until <= self._clock():
            del barred[source_of(flow)]
            return False
        ban.dropped += 1
        return True

    def strike(self, flow: Flow, weight: int = 1, *, calls: bool = False) -> tuple[bool, bool]:
        """Count against a source; returns whether it should be logged, and whether it is banned by this.

        A source that is exempt is logged only if it `calls` (sends an INVITE): strangers may share its
        address, as everybody does behind Docker's bridge or another NAT that hides who sends.
        """
        source = source_of(flow)
        if source in self._spared:
            return calls and self._calls.add(source, 1, self._clock())[1], False
        now = self._clock()
        count, first = self._tally.add(source, weight, now)
        if count < self._after or not self._for_s:
            return first, False
        self._tally.forget(source)
        ban = Ban(now + self._for_s)
        for barred in (self._datagrams, self._streams) if flow.reliable else (self._datagrams,):
            _put(barred, source, ban)
        return first, True

    def spare(self, flow: Flow) -> None:
        """Exempt the source of a peer that has proved itself: from now on nothing counts against it."""
        source = source_of(flow)
        if source not in self._spared:
            _put(self._spared, source, None)
            self._tally.forget(source)
            self._datagrams.pop(source, None)
            self._streams.pop(source, None)

    def busiest(self, limit: int) -> list[tuple[str, int, bool]]:
        """The strangers who sent most: source, number of messages, whether banned."""
        now = self._clock()
        counted = {source: (count, False) for source, count in self._tally}
        for source, ban in (self._datagrams | self._streams).items():
            if ban.until > now:
                counted[source] = (ban.dropped + self._after, True)
        top = heapq.nlargest(limit, counted.items(), key=lambda item: item[1])
        return [(source, count, barred) for source, (count, barred) in top]


def _put(table: dict[str, T], source: str, value: T) -> None:
    if len(table) >= MAX_SOURCES and source not in table:
        del table[next(iter(table))]
    table[source] = value
