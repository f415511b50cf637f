"""Who may talk to us: the trunks, by address. Everyone else is met with silence."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from proxy.sip.errors import ParseError
from proxy.transport.flow import Flow

log = structlog.get_logger("screendoor")

REFRESH_S = 120.0
"""How often trunk names are resolved again: carriers move without notice."""
QUIET_S = 60.0
"""A source turned away is logged once in this time."""
MOST_SOURCES = 10_000
"""So many sources are remembered for that; a flood from more of them is counted all the same."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses a name has now; raises OSError when it cannot be told."""


class Admission:
    """The gate of the user agent core."""

    def __init__(
        self,
        sources: Mapping[str, Sequence[str]],
        lookup: Lookup,
        *,
        turned_away: Callable[[], None] = lambda: None,
        unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        """`sources`: the addresses, CIDR networks and names of each trunk; the callables count."""
        self._lookup, self._turned_away, self._unreadable = lookup, turned_away, unreadable
        self._networks: list[Network] = []
        self._names: dict[str, frozenset[str]] = {}
        self._told: dict[str, float] = {}
        for entry in [entry for entries in sources.values() for entry in entries]:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names[entry] = frozenset()

    def admits(self, flow: Flow) -> bool:
        host = flow.remote[0]
        if any(host in addresses for addresses in self._names.values()):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # a connection whose peer was gone before its address could be read
            return False
        return any(address in network for network in self._networks)

    def refused(self, flow: Flow) -> None:
        self._turned_away()
        now, source = asyncio.get_running_loop().time(), flow.remote[0]
        if now - self._told.get(source, -QUIET_S) >= QUIET_S:
            if len(self._told) >= MOST_SOURCES:
                self._told.clear()
            self._told[source] = now
            log.warning("unknown source ignored", source=source, transport=flow.transport)

    def malformed(self, flow: Flow, error: ParseError) -> None:
        self._unreadable()
        log.debug("malformed message", source=flow.remote[0], problem=str(error))

    async def refresh(self) -> None:
        """Resolve every name once; one that cannot be resolved now keeps the addresses it had."""
        for name in self._names:
            try:
                found = frozenset(await self._lookup(name))
            except OSError as error:
                log.warning("trunk name not resolved", name=name, problem=str(error))
            else:
                self._names[name] = found or self._names[name]

    async def keep_fresh(self) -> None:
        """Resolve the names again and again; never returns."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()
