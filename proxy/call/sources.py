"""Where the trunks call from: networks, and names that are resolved again and again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

import structlog

log = structlog.get_logger("screendoor")

REFRESH_S = (60.0, 300.0)
"""A name is resolved again when the life of its record is over, yet no sooner and no later than these."""
SOON_S = 2.0
"""How soon one is tried again that has no address yet: twice as long each time, up to a minute."""
KEPT_S = 3600.0
"""How long an address is believed after its name last had it.

A name server may tell a few of many addresses, and others the next time; a carrier that takes one out of its
name may still call from it.
"""
MAX_KNOWN = 10_000
"""Addresses of ours that are remembered as such; a network may hold more."""
NARROW = {4: 24, 6: 48}
"""A network with fewer bits than these is so wide that not everybody in it is the carrier."""

Network = IPv4Network | IPv6Network


Lookup = Callable[[str], Awaitable[tuple[Sequence[str], float]]]
"""The addresses a name has now, and the seconds for which they hold; OSError when it cannot be told."""


@dataclass(frozen=True, slots=True)
class Source:
    """An address that is one of ours, and why."""

    trunk: str
    wide: bool
    """It only stands in a wide network: strangers may have addresses there, too."""


@dataclass(slots=True)
class _Name:
    trunk: str
    addresses: dict[str, float] = field(default_factory=dict)
    """Each with the time until which it is believed."""
    due: float = 0.0
    in_vain_s: float = SOON_S
    """How soon it is tried again if nothing comes of it."""


class Sources:
    """Which trunk an address belongs to: a dict look-up for ours, a few more for anybody else's."""

    def __init__(self, sources: Mapping[str, Sequence[str]], lookup: Lookup) -> None:
        """`sources`: the addresses, CIDR networks and names of each trunk."""
        self._lookup = lookup
        self._names: dict[str, _Name] = {}
        self._networks: dict[tuple[int, int], dict[int, Source]] = {}
        """By address family's version and number of bits: the network's own bits, and whose it is."""
        self.known: dict[str, Source] = {}
        """The addresses whose owner is known by heart: ours, and nobody else's."""
        for trunk, entry in [(trunk, entry) for trunk, entries in sources.items() for entry in entries]:
            try:
                self._add(trunk, ip_network(entry, strict=False))
            except ValueError:
                self._names.setdefault(entry, _Name(trunk))
        self._networks = dict(sorted(self._networks.items(), reverse=True))  # the narrowest one counts

    def at(self, host: str) -> Source | None:
        """Whose address this is; None for a stranger's."""
        return self.known.get(host) or self._in_a_network(host)

    async def refresh(self) -> None:
        """Resolve every name that is due; each address holds for an hour after it was last named."""
        now = asyncio.get_running_loop().time()
        due = [(name, held) for name, held in self._names.items() if held.due <= now]
        await asyncio.gather(*(self._resolve(name, held) for name, held in due))
        if due:
            self._settle()

    async def keep_fresh(self) -> None:
        """Resolve the names again and again; never returns."""
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
        held.addresses = _believed(held, now) | dict.fromkeys(addresses, now + KEPT_S)
        held.due = now + min(max(ttl_s, low), high)
        held.in_vain_s = low

    def _unresolved(self, name: str, held: _Name, why: str) -> None:
        now = asyncio.get_running_loop().time()
        held.due = now + held.in_vain_s
        held.in_vain_s = min(2 * held.in_vain_s, REFRESH_S[0])
        before, held.addresses = held.addresses, _believed(held, now)
        if before and not held.addresses:
            log.error(
                "trunk name given up: nobody at its old addresses is let in any more",
                name=name, trunk=held.trunk, unresolved_for_s=KEPT_S, problem=why,
            )  # fmt: skip
        else:
            log.warning("trunk name not resolved", name=name, trunk=held.trunk, problem=why)

    def _settle(self) -> None:
        """Know the names' addresses by heart; those of networks are learnt anew as they come."""
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
        except (OSError, ValueError):  # a connection whose peer was gone before its address could be read
            return None
        address = int.from_bytes(packed)
        for (kind, bits), alike in self._networks.items():
            if kind == version and (found := alike.get(address >> (size - bits))):
                if len(self.known) >= MAX_KNOWN:
                    self._settle()
                self.known[host] = found
                return found
        return None


def _believed(held: _Name, now: float) -> dict[str, float]:
    return {address: until for address, until in held.addresses.items() if now < until}


def _unscoped(host: str) -> str:
    """An IPv6 address without the zone that the kernel may put behind it."""
    return host.partition("%")[0]
