"""Keep-alive and idle timeout of outbound connections (RFC 5626 §4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.transport.flow import TransportFailed

if TYPE_CHECKING:
    from proxy.transport.stream import StreamFlow

FIRST_CHECK_S = 32.0
"""64*T1, the first check: a connection that has brought no message by then, and is not needed, is closed."""
PONG_S = 10.0
"""Time limit for the answer to a ping (RFC 5626 §4.4.1)."""
READ_GRACE_S = 0.25
"""The last part of `PONG_S`. After a suspension of the process, timers fire before sockets are read: this
leaves time to read what arrived meanwhile."""

Draw = Callable[[int, int], int]
"""Draws a random integer between two numbers, both included."""


@dataclass(frozen=True, slots=True)
class KeepAliveRules:
    """Keep-alive settings of outbound connections."""

    keep_alive_s: float = 120.0
    """Longest idle time before a ping; a random 80 to 100 % of it (RFC 5626 §4.4). 0: no pings."""
    idle_s: float = 300.0
    """Idle time after which a connection that is not needed is closed."""


class KeepAlive:
    """Checks one connection periodically; the connection itself only notes that it was used."""

    def __init__(
        self, flow: StreamFlow, rules: KeepAliveRules, needed: Callable[[], bool], draw: Draw
    ) -> None:
        """`needed`: whether anything still depends on this connection, even if it is idle."""
        self._flow, self._rules, self._needed, self._draw = flow, rules, needed, draw
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        """When it was last seen to be in use."""
        self._answers_pings = False
        """Whether the peer ever answered a ping, so that a missing pong means that it is gone."""
        self._timer = self._loop.call_later(FIRST_CHECK_S, self._check)
        flow.socket_closed.add_done_callback(lambda _: self._timer.cancel())

    def _check(self) -> None:
        flow, now = self._flow, self._loop.time()
        if flow.take_used():
            self._since = now
        idle = now - self._since >= self._rules.idle_s
        if (idle or not flow.received_count) and not self._needed():
            return flow.close()
        self._next(now)

    def _next(self, now: float) -> None:
        if not self._rules.keep_alive_s:
            self._timer = self._loop.call_later(self._rules.idle_s, self._check)
        elif self._since == now:
            self._timer = self._loop.call_later(self._interval(), self._check)
        else:
            pongs = self._flow.ping()
            self._timer = self._loop.call_later(PONG_S - READ_GRACE_S, self._read_first, pongs)

    def _read_first(self, pongs: int) -> None:
        self._timer = self._loop.call_later(READ_GRACE_S, self._check_pong, pongs)

    def _check_pong(self, pongs: int) -> None:
        """Check for the pong after `PONG_S`: a peer that used to answer and does not any more is gone."""
        if self._flow.pongs > pongs:
            self._answers_pings = True
        elif self._answers_pings and not self._flow.used:
            return self._flow.fail(TransportFailed(f"no answer to a keep-alive within {PONG_S:g} s"))
        self._timer = self._loop.call_later(self._interval() - PONG_S, self._check)

    def _interval(self) -> float:
        drawn = self._rules.keep_alive_s * self._draw(800, 1000) / 1000
        return min(drawn, max(self._rules.idle_s, 2 * PONG_S))
