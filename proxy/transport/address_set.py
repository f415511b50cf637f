"""Every address that a carrier may use, and how long its records say that this holds."""

from __future__ import annotations

import asyncio

import dns.asyncresolver
import dns.exception

from proxy.transport.lookup import Lookup
from proxy.transport.resolver import SERVICES

UNTOLD_S = 120.0
"""The life of an answer that has none of its own, such as a line in /etc/hosts."""


class LastingLookup:
    """The addresses of a name, of the hosts behind its SRV records too: it may call from any of them."""

    def __init__(
        self, lookup: Lookup, *, patience_s: float = 2.0, resolver: dns.asyncresolver.Resolver | None = None
    ) -> None:
        """`resolver`: None asks the name servers of this machine for the life of a record."""
        self._lookup, self._patience_s, self._resolver = lookup, patience_s, resolver

    async def __call__(self, name: str) -> tuple[list[str], float]:
        """Addresses, none if there are none, and the seconds for which they hold."""
        lives = asyncio.gather(self._life(name, "A"), self._life(name, "AAAA"))
        services = await asyncio.gather(
            *(self._lookup.services(f"{service}.{name}") for service in SERVICES.values())
        )
        hosts = {name, *(service.host for found in services for service in found if service.host)}
        addresses = await asyncio.gather(*(self._lookup.addresses(host) for host in sorted(hosts)))
        return sorted({one for found in addresses for one in found}), min(await lives)

    async def _life(self, name: str, kind: str) -> float:
        try:
            resolver = self._resolver or dns.asyncresolver.Resolver()
            answer = await resolver.resolve(name, kind, lifetime=self._patience_s)
        except (dns.exception.DNSException, OSError, ValueError):
            return UNTOLD_S
        return float(answer.rrset.ttl) if answer.rrset is not None else UNTOLD_S
