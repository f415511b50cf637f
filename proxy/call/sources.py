"""The addresses that trunks call from: networks, and host names that are resolved repeatedly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

import structlog

log = structlog.get_logger("screendoor")

REFRESH_S = (60.0, 300.0)
"""A name is resolved again when its TTL is over, but no sooner and no later than these."""
SOON_S = 2.0
"""When to retry a name that has no address yet; doubled each time, up to a minute."""
KEPT_S = 3600.0
"""How long an address is accepted after its name last resolved to it.

A name server may return a few of many addresses, and others the next time; and a carrier that has removed an
address from its name may still call from it.
"""
MAX_KNOWN = 10_000
"""Limit to cached addresses; a network may have more."""
NARROW = {4: 24, 6: 48}
"""A network with a shorter prefix than these is `wide`: not everybody in it need be the carrier."""

Network = IPv4Network | IPv6Network


Lookup = Callable[[str], Awaitable[tuple[Sequence[str], float]]]
"""Resolves a name to its addresses and their TTL in seconds; raises OSError if that fails."""


@dataclass(frozen=True, slots=True)
class Source:
    """The trunk that an address belongs to."""

    trunk: str
    wide: bool
    """Whether it is known only by a wide network, in which strangers may have addresses too."""


@dataclass(slots=True)
class _Name:
    trunk: str
    addresses: dict[str, float] = field(default_factory=dict)
    """Each address with the time until which it is accepted."""
    due: float = 0.0
    retry_s: float = SOON_S
    """The delay before the next attempt if resolving fails."""


class Sources:
    """Finds the trunk that an address belongs to: by one dict look-up for a known address."""

    def __init__(self, sources: Mapping[str, Sequence[str]], lookup: Lookup) -> None:
        """`sources`: the addresses, CIDR networks and names of each trunk."""
        self._lookup = lookup
        self._names: dict[str, _Name] = {}
        self._networks: dict[tuple[int, int], dict[int, Source]] = {}
        """By IP version and prefix length: the trunk by the prefix of its network, as an integer."""
        self.known: dict[str, Source] = {}
        """Cache of the trunks' addresses; strangers' are never cached."""
        for trunk, entry in [(trunk, entry) for trunk, entries in sources.items() for entry in entries]:
            try:
                self._add(trunk, ip_network(entry, strict=False))
            except ValueError:
                self._names.setdefault(entry, _Name(trunk))
        self._networks = dict(sorted(self._networks.items(), reverse=True))  # longest prefix first

    def at(self, host: str) -> Source | None:
        """The trunk that an address belongs to; None for a stranger's."""
        return self.known.get(host) or self._in_a_network(host)

    async def refresh(self) -> None:
        """Resolve every name that is due; see KEPT_S for how long an address is accepted."""
        now = asyncio.get_running_loop().time()
        due = [(name, held) for name, held in self._names.items() if held.due <= now]
        await asyncio.gather(*(self._resolve(name, held) for name, held in due))
        if due:
            self._settle()

    async def keep_fresh(self) -> None:
        """Resolve the names repeatedly; never returns."""
        loop = asyncio.get_running_loop()
        while True:
            soonest = min((held.due for held in self._names.values()), default=loop.time() + KEPT_S)
            await asyncio.sleep(max(soonest - loop.time(), 0.0))
            await self.refresh()

    async def _resolve(self, name: str, held: _Name) -> None:
        loop = asyncio.get_running_loop()
        try:
            addresses, ttl_s = await self._lookup(name)
        except OSError as error:
            return self._unresolved(name, held, str(error))
        if not addresses:
            return self._unresolved(name, held, "it has no address")
        low, high = REFRESH_S
        now = loop.time()
        held.addresses = _still_accepted(held, now) | dict.fromkeys(addresses, now + KEPT_S)
        held.due = now + min(max(ttl_s, low), high)
        held.retry_s = low

    def _unresolved(self, name: str, held: _Name, why: str) -> None:
        now = asyncio.get_running_loop().time()
        held.due = now + held.retry_s
        held.retry_s = min(2 * held.retry_s, REFRESH_S[0])
        before, held.addresses = held.addresses, _still_accepted(held, now)
        if before and not held.addresses:
            log.error(
                "trunk name given up: nobody at its old addresses is let in any more",
                name=name, trunk=held.trunk, unresolved_for_s=KEPT_S, problem=why,
            )  # fmt: skip
        else:
            log.warning("trunk name not resolved", name=name, trunk=held.trunk, problem=why)

    def _settle(self) -> None:
        """Rebuild the cache from the names' addresses; those in networks are added as they come."""
        self.known = {
            address: Source(held.trunk, wide=False)
            for held in reversed(self._names.values())
            for address in held.addresses
        }

    def _add(self, trunk: str, network: Network) -> None:
        bits = network.prefixlen
        own = int(network.network_address) >> (network.max_prefixlen - bits)
        alike = self._networks.setdefault((network.version, bits), {})
        alike.setdefault(own, Source(trunk, wide=bits < NARROW[network.version]))

    def _in_a_network(self, host: str) -> Source | None:
        version, size = (6, 128) if ":" in host else (4, 32)
        try:
            packed = socket.inet_pton(socket.AF_INET6 if version == 6 else socket.AF_INET, _unscoped(host))
        except (OSError, ValueError):  # the peer of a connection was gone before its address could be read
            return None
        address = int.from_bytes(packed)
        for (kind, bits), alike in self._networks.items():
            if kind == version and (found := alike.get(address >> (size - bits))):
                if len(self.known) >= MAX_KNOWN:
                    self._settle()
                self.known[host] = found
                return found
        return None


def _still_accepted(held: _Name, now: float) -> dict[str, float]:
    return {address: until for address, until in held.addresses.items() if now < until}


def _unscoped(host: str) -> str:
    """An IPv6 address without the zone that the kernel may append."""
    return host.partition("%")[0]
