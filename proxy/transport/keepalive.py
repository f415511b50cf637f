"""The life of a connection that we made: kept alive while it is of use, let go when it is of none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.transport.flow import TransportFailed

if TYPE_CHECKING:
    from proxy.transport.stream import StreamFlow

FIRST_LOOK_S = 32.0
"""64·T1: a peer that has said nothing by then, and that nobody needs, was not worth the call."""
PONG_S = 10.0
"""How long the answer to a ping may take (RFC 5626 §4.4.1)."""
READING_S = 0.25
"""The last of it, in which a process that was stopped reads what came meanwhile: it wakes with its timers."""

Draw = Callable[[int, int], int]
"""Picks a number, ends included."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How long connections of ours stay, and how they are kept open."""

    keep_alive_s: float = 120.0
    """The longest silence before a ping, drawn from 80 to 100 % of it (RFC 5626 §4.4). 0: no pings."""
    idle_s: float = 300.0
    """A connection that nobody needs, and that was silent for so long, is closed."""


class Keeping:
    """Looks after one connection now and then; the connection only notes that it was used."""

    def __init__(self, flow: StreamFlow, rules: Upkeep, needed: Callable[[], bool], draw: Draw) -> None:
        """`needed`: whether anybody still counts on this connection, though it may be silent for long."""
        self._flow, self._rules, self._needed, self._draw = flow, rules, needed, draw
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        """When it was last seen in use."""
        self._answers = False
        """The peer has answered a ping before, so that a silence of its now means something."""
        self._timer = self._loop.call_later(FIRST_LOOK_S, self._look)
        flow.over.add_done_callback(lambda _: self._timer.cancel())

    def _look(self) -> None:
        flow, now = self._flow, self._loop.time()
        if flow.take_use():
            self._since = now
        idle = now - self._since >= self._rules.idle_s
        if (idle or not flow.heard) and not self._needed():
            return flow.close()
        self._next(now)

    def _next(self, now: float) -> None:
        if not self._rules.keep_alive_s:
            self._timer = self._loop.call_later(self._rules.idle_s, self._look)
        elif self._since == now:
            self._timer = self._loop.call_later(self._interval(), self._look)
        else:
            pongs = self._flow.ping()
            self._timer = self._loop.call_later(PONG_S - READING_S, self._read, pongs)

    def _read(self, pongs: int) -> None:
        self._timer = self._loop.call_later(READING_S, self._judge, pongs)

    def _judge(self, pongs: int) -> None:
        """Ten seconds after a ping: a peer that used to answer and does not is gone."""
        if self._flow.pongs > pongs:
            self._answers = True
        elif self._answers and not self._flow.used:
            return self._flow.fail(TransportFailed(f"no answer to a keep-alive within {PONG_S:g} s"))
        self._timer = self._loop.call_later(self._interval() - PONG_S, self._look)

    def _interval(self) -> float:
        drawn = self._rules.keep_alive_s * self._draw(800, 1000) / 1000
        return min(drawn, max(self._rules.idle_s, 2 * PONG_S))
