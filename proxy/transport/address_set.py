"""All source addresses of a carrier's host name, with the DNS lifetime of the answer."""

from __future__ import annotations

import asyncio

import dns.asyncresolver
import dns.exception

from proxy.transport.lookup import Lookup
from proxy.transport.resolver import SERVICES

DEFAULT_TTL_S = 120.0
"""Lifetime of an answer without a TTL, such as a line in /etc/hosts."""


class AddressSetLookup:
    """The addresses of a name and of the hosts in its SRV records: the carrier may call from any of them."""

    def __init__(
        self, lookup: Lookup, *, patience_s: float = 2.0, resolver: dns.asyncresolver.Resolver | None = None
    ) -> None:
        """`resolver`: where to ask for the TTL of records; None asks the name servers of this machine."""
        self._lookup, self._patience_s, self._resolver = lookup, patience_s, resolver

    async def __call__(self, name: str) -> tuple[list[str], float]:
        """The addresses, possibly none, and the seconds for which they are valid."""
        lives = asyncio.gather(self._ttl(name, "A"), self._ttl(name, "AAAA"))
        srv_records = await asyncio.gather(
            *(self._lookup.srv_records(f"{service}.{name}") for service in SERVICES.values())
        )
        hosts = {name, *(service.host for found in srv_records for service in found if service.host)}
        addresses = await asyncio.gather(*(self._lookup.addresses(host) for host in sorted(hosts)))
        return sorted({one for found in addresses for one in found}), min(await lives)

    async def _ttl(self, name: str, kind: str) -> float:
        try:
            resolver = self._resolver or dns.asyncresolver.Resolver()
            answer = await resolver.resolve(name, kind, lifetime=self._patience_s)
        except (dns.exception.DNSException, OSError, ValueError):
            return DEFAULT_TTL_S
        return float(answer.rrset.ttl) if answer.rrset is not None else DEFAULT_TTL_S
