"""Where a URI leads: transport, address and port (RFC 3263 §4, without NAPTR)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.entropy
import dns.exception
import dns.resolver
import structlog
from dns.rdtypes.IN.SRV import SRV

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.identity import numeric

log = structlog.get_logger("screendoor")

SERVICES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str
    """Without a final dot; empty if the record says that the service is decidedly not there."""


class Lookup(Protocol):
    """What the resolver asks of the name service."""

    async def addresses(self, host: str) -> list[str]:
        """Numeric addresses of a name, best first; empty if it has none."""

    async def services(self, name: str) -> list[Service]:
        """SRV records of a name, in any order; empty if it has none or nobody answers."""


class SystemLookup:
    """A and AAAA as the machine resolves them (so /etc/hosts counts), SRV by DNS."""

    def __init__(
        self, *, patience_s: float = 2.0, nameservers: Iterable[str] | None = None, port: int = 53
    ) -> None:
        """`nameservers` and `port`: None asks those of the machine."""
        self._patience_s = patience_s
        self._nameservers = list(nameservers) if nameservers is not None else None
        self._port = port
        self._dns: dns.asyncresolver.Resolver | None = None

    async def addresses(self, host: str) -> list[str]:
        """By `getaddrinfo`, in its order."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def services(self, name: str) -> list[Service]:
        """A silent or broken server counts as no record: the address records still stand (§4.2)."""
        try:
            answer = await self._resolver().resolve(name, "SRV", lifetime=self._patience_s)
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            log.debug("no service records", name=name, why=type(error).__name__)
            return []
        return [
            Service(record.priority, record.weight, record.port, record.target.to_text().removesuffix("."))
            for record in answer
            if isinstance(record, SRV)
        ]

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if self._dns is None:
            self._dns = dns.asyncresolver.Resolver(configure=self._nameservers is None)
            self._dns.cache = dns.resolver.LRUCache()
            if self._nameservers is not None:
                self._dns.nameservers = list(self._nameservers)
                self._dns.port = self._port
        return self._dns


class Resolver:
    """RFC 3263 over a `Lookup`."""

    def __init__(
        self, lookup: Lookup | None = None, *, draw: Callable[[int, int], int] = dns.entropy.between
    ) -> None:
        """`draw(low, high)` picks a number, ends included: it shares load by weight (RFC 2782)."""
        self._lookup = lookup or SystemLookup()
        self._draw = draw

    async def resolve(self, uri: Uri) -> list[Target]:
        """Every place to try, in order; raises TransportFailed if there is none."""
        if uri.scheme not in ("sip", "sips"):
            raise TransportFailed(f"a {uri.scheme}: URI names no host to send to")
        transport = _transport(uri)
        name = uri.host.removeprefix("[").removesuffix("]")
        address = numeric(name)
        port = uri.port or DEFAULT_PORTS[transport]
        if address is not None:
            return [Target(transport, (address, port), name)]
        if uri.port is None and not _local(name):
            targets = await self._by_service(transport, name)
            if targets:
                return targets
        targets = [Target(transport, (found, port), name) for found in await self._lookup.addresses(name)]
        if not targets:
            raise TransportFailed(f"host has no address: {name}")
        return targets

    async def _by_service(self, transport: str, name: str) -> list[Target]:
        """By SRV (§4.2); empty if the domain has no such records, or none that leads anywhere."""
        services = await self._lookup.services(f"{SERVICES[transport]}.{name}")
        if services and not any(service.host for service in services):  # RFC 2782: a target of "."
            raise TransportFailed(f"{name} offers no SIP over {transport}: its SRV record says so")
        targets = []
        for service in self._ordered(services):
            for address in await self._addresses(service.host):
                targets.append(Target(transport, (address, service.port), name))
        return list(dict.fromkeys(targets))

    async def _addresses(self, host: str) -> list[str]:
        address = numeric(host)
        return [address] if address is not None else await self._lookup.addresses(host)

    def _ordered(self, services: list[Service]) -> list[Service]:
        """Lowest priority first; within one, drawn by weight, those of weight 0 placed first (RFC 2782)."""
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


def _transport(uri: Uri) -> str:
    """§4.1: what the URI says, else TLS for `sips` and UDP for `sip`; `sips` over TCP means TLS (§26.2.2)."""
    named = uri.transport
    if uri.scheme == "sips":
        if named not in (None, "tcp", "tls"):
            raise TransportFailed(f"a sips: URI cannot be sent over {named}")
        return "tls"
    if named is None:
        return "udp"
    if named not in SERVICES:
        raise TransportFailed(f"transport not supported: {named}")
    return named


def _local(name: str) -> bool:
    """RFC 6761 §6.3: `localhost` is never asked of DNS."""
    folded = name.lower().removesuffix(".")
    return folded == "localhost" or folded.endswith(".localhost")
