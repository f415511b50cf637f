"""Resolves a URI to transport, address and port (RFC 3263 §4)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection
from functools import lru_cache

import dns.entropy

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.identity import numeric
from proxy.transport.lookup import Lookup, NaptrRecord, SrvRecord, SystemLookup, is_localhost

SERVICES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
"""The transport of a NAPTR service field (§4.1); others are not supported."""
ALL = ("udp", "tcp", "tls")
MAX_SERVICES = 32
"""How many SRV records of one name are used, the preferred ones: no caller waits for more to be tried."""
_Place = tuple[str, tuple[str, int]]
"""A transport and an address."""


class Resolver:
    """RFC 3263 over a `Lookup`."""

    def __init__(
        self, lookup: Lookup | None = None, *, draw: Callable[[int, int], int] = dns.entropy.between
    ) -> None:
        """`draw(low, high)`: a random integer, both ends included, for SRV weights (RFC 2782)."""
        self._lookup = lookup or SystemLookup()
        self._draw = draw

    async def resolve(self, uri: Uri, transports: Collection[str] = ALL) -> list[Target]:
        """Every target to try, in order; raises TransportFailed if there is none.

        `transports`: those available for sending, from which NAPTR and SRV may choose.
        """
        if uri.scheme not in ("sip", "sips"):
            raise TransportFailed(f"a {uri.scheme}: URI names no host to send to")
        transport, name, asked = _transport(uri), unbracketed(uri.host), unbracketed(host_to_resolve(uri))
        address = _numeric_host(asked)
        if address is not None:
            chosen = transport or _default(uri)
            return [_target(chosen, (address, uri.port or DEFAULT_PORTS[chosen]), name)]
        if uri.port is None and not is_localhost(asked):
            found = await self._by_domain(uri, transport, asked, transports)
            if found:
                return [Target(way, at, name) for way, at in dict.fromkeys(found)]
        chosen = transport or _default(uri)
        port = uri.port or DEFAULT_PORTS[chosen]
        targets = [Target(chosen, (found, port), name) for found in await self._lookup.addresses(asked)]
        if not targets:
            why = self._lookup.failure(asked)
            raise TransportFailed(
                f"host not resolved, {why}: {asked}" if why else f"host has no address: {asked}"
            )
        return targets

    async def _by_domain(
        self, uri: Uri, transport: str | None, asked: str, transports: Collection[str]
    ) -> list[_Place]:
        """Resolve by NAPTR and SRV (§4.1, §4.2); empty if the domain has no usable records."""
        if transport is not None:
            return await self._by_srv([(transport, f"{SERVICES[transport]}.{asked}")], asked)
        pointed = _usable_naptr(await self._lookup.naptr_records(asked), uri.secure, transports)
        if pointed and (places := await self._by_srv(pointed, asked)):
            return places
        # §4.1: without NAPTR, try SRV for each transport that we support.
        ways = ("tls",) if uri.secure else tuple(way for way in ("udp", "tcp") if way in transports)
        return await self._by_srv([(way, f"{SERVICES[way]}.{asked}") for way in ways], asked)

    async def _by_srv(self, queries: list[tuple[str, str]], domain: str) -> list[_Place]:
        """The places in the SRV records of these (transport, SRV name) pairs, one pair after the other."""
        if len(queries) == 1:
            answers = [await self._lookup.srv_records(queries[0][1])]
        else:
            answers = await asyncio.gather(*(self._lookup.srv_records(name) for _, name in queries))
        if any(answers) and not any(service.host for services in answers for service in services):
            ways = " or ".join(way for way, _ in queries)  # RFC 2782: a target of "."
            raise TransportFailed(f"{domain} offers no SIP over {ways}: its SRV record says so")
        places: list[_Place] = []
        for (way, _), services in zip(queries, answers, strict=True):
            for service in self._ordered(services):
                places += [(way, (found, service.port)) for found in await self._addresses(service.host)]
        return places

    async def _addresses(self, host: str) -> list[str]:
        address = numeric(host)
        return [address] if address is not None else await self._lookup.addresses(host)

    def _ordered(self, services: list[SrvRecord]) -> list[SrvRecord]:
        """SRV order (RFC 2782): lowest priority first; within one, drawn by weight, weight 0 listed first."""
        services = sorted(services, key=lambda each: each.priority)[:MAX_SERVICES]
        ordered = []
        for priority in sorted({service.priority for service in services}):
            waiting = [service for service in services if service.priority == priority and service.host]
            waiting.sort(key=lambda service: service.weight)
            while waiting:
                drawn = self._draw(0, sum(service.weight for service in waiting))
                for service in waiting:
                    drawn -= service.weight
                    if drawn <= 0:
                        break
                waiting.remove(service)
                ordered.append(service)
        return ordered


def host_to_resolve(uri: Uri) -> str:
    """The host to resolve: `maddr` if the URI has one, else its host (§4)."""
    return uri.params.get("maddr") or uri.host


def unbracketed(host: str) -> str:
    """A host without the brackets of an IPv6 address."""
    return host.removeprefix("[").removesuffix("]")


@lru_cache(maxsize=1024)
def _numeric_host(host: str) -> str | None:
    """The canonical text of a numeric address; None for a name. Raises TransportFailed for multicast."""
    address = numeric(host)
    if address is not None and ipaddress.ip_address(address).is_multicast:
        raise TransportFailed(f"a multicast address is not called: {address}")
    return address


_target = lru_cache(maxsize=1024)(Target)
"""Cached, since a numeric address gives the same target in every call."""


def _usable_naptr(
    pointers: list[NaptrRecord], secure: bool, transports: Collection[str]
) -> list[tuple[str, str]]:
    """Transport and SRV name of each usable NAPTR record, in order (§4.1)."""
    ranked = sorted(pointers, key=lambda each: (each.order, each.preference))
    ways = [(NAPTR_SERVICES.get(each.service, ""), each.replacement) for each in ranked if each.flags == "s"]
    allowed = ("tls",) if secure else ALL  # §4.1: for sips, services without SIPS are discarded
    return [(way, name) for way, name in ways if way in allowed and way in transports]


def _default(uri: Uri) -> str:
    """The default transport (§4.1): TLS for `sips`, else UDP."""
    return "tls" if uri.secure else "udp"


def _transport(uri: Uri) -> str | None:
    """The transport given in the URI (§4.1), if any; `sips` over TCP means TLS (RFC 3261 §26.2.2)."""
    named = uri.transport
    if named is None:
        return None
    if uri.secure:
        if named not in ("tcp", "tls"):
            raise TransportFailed(f"a sips: URI cannot be sent over {named}")
        return "tls"
    if named not in SERVICES:
        raise TransportFailed(f"transport not supported: {named}")
    return named
