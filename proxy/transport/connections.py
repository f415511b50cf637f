"""Table of open connections, with limits for unknown peers; known peers are never turned away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from proxy.transport.flow import source_of

if TYPE_CHECKING:
    from proxy.transport.stream import StreamFlow

log = structlog.get_logger("screendoor")

LOG_INTERVAL_S = 60.0
"""Failures of one source are logged once per this time."""
MAX_LOGGED_SOURCES = 30
"""How many sources are logged per `LOG_INTERVAL_S`: a flood from thousands must not flood the log."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on inbound connections from unknown peers."""

    strangers: int = 1000
    """Open at once, from all unknown peers together."""
    strangers_per_source: int = 50
    """Open at once from one address (IPv6: from one /64)."""
    handshakes: int = 100
    """TLS handshakes in progress at once."""
    handshakes_per_source: int = 20
    """TLS handshakes in progress at once from one address."""


class LimitedSet:
    """A limited set of connections, oldest first."""

    def __init__(self, limit: int, max_per_source: int) -> None:
        self._limit, self._max_per_source = limit, max_per_source
        self._members: dict[StreamFlow, str] = {}
        self._sources: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, flow: object) -> bool:
        return flow in self._members

    def evicted_by(self, flow: StreamFlow) -> StreamFlow | None:
        """The flow to close before adding this one: itself, the oldest member, or None.

        The oldest, not the newest: otherwise a few silent connections would lock out everybody else; this way
        an attacker must open them faster than an honest peer sends its first message.
        """
        if self._sources[source_of(flow)] >= self._max_per_source:
            return flow
        return next(iter(self._members)) if len(self._members) >= self._limit else None

    def add(self, flow: StreamFlow) -> None:
        self._members[flow] = source = source_of(flow)
        self._sources[source] += 1

    def discard(self, flow: StreamFlow) -> None:
        source = self._members.pop(flow, None)
        if source is None:
            return
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]


class Connections:
    """Every connection with an open socket, inbound or outbound; a `Keeper`."""

    def __init__(self, limits: ConnectionLimits, welcomes: Callable[[StreamFlow], bool]) -> None:
        """`welcomes`: whether the peer is a known one, by what is known of it now."""
        self.empty = asyncio.Event()
        """Set while there are no connections."""
        self.empty.set()
        self.refused: Counter[str] = Counter()
        """Failed inbound connections, by reason."""
        self.closing = False
        """Once set, new connections are aborted."""
        self._welcomes = welcomes
        self._open: set[StreamFlow] = set()
        self._strangers = LimitedSet(limits.strangers, limits.strangers_per_source)
        self._handshaking = LimitedSet(limits.handshakes, limits.handshakes_per_source)
        self._logged: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[StreamFlow]:
        return iter(list(self._open))

    @property
    def strangers(self) -> int:
        """The number of open connections from unknown peers."""
        return len(self._strangers)

    def opened(self, flow: StreamFlow) -> None:
        """A socket is open; applies the limits, which may abort this or another connection."""
        self._open.add(flow)
        self.empty.clear()
        if self.closing:
            flow.abort()
        elif flow.inbound and not self._welcomes(flow):
            self._admit(flow, self._strangers, "strangers")
            if flow.transport == "tls" and not flow.closed:
                self._admit(flow, self._handshaking, "handshakes")

    def established(self, flow: StreamFlow) -> None:
        """Messages can be exchanged; over TLS, the handshake may have identified the peer."""
        self._handshaking.discard(flow)
        if flow in self._strangers and flow.peer_names and self._welcomes(flow):
            self._strangers.discard(flow)

    def known(self, flow: StreamFlow) -> None:
        """The peer sent a message that identified it as a known one."""
        self._strangers.discard(flow)

    def failed(self, flow: StreamFlow, reason: str, why: str) -> None:
        """An inbound connection failed; counted, and logged once a minute per source."""
        self.refused[reason] += 1
        now, host = asyncio.get_running_loop().time(), flow.remote[0]
        self._logged = {told: at for told, at in self._logged.items() if now - at < LOG_INTERVAL_S}
        if host in self._logged or len(self._logged) >= MAX_LOGGED_SOURCES:
            return
        self._logged[host] = now
        log.info("connection refused", transport=flow.transport, source=host, why=why)

    def gone(self, flow: StreamFlow) -> None:
        """The socket is closed."""
        self._open.discard(flow)
        self._strangers.discard(flow)
        self._handshaking.discard(flow)
        if not self._open:
            self.empty.set()

    def _admit(self, flow: StreamFlow, peers: LimitedSet, reason: str) -> None:
        victim = peers.evicted_by(flow)
        if victim is not None:
            self.failed(victim, reason, f"too many {reason} at once")
            self._strangers.discard(victim)
            self._handshaking.discard(victim)
            victim.abort()
        if victim is not flow:
            peers.add(flow)
