"""DNS lookups of A, AAAA, SRV and NAPTR records, cached for their TTL."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rcode
import dns.rdata
import dns.resolver
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

log = structlog.get_logger("screendoor")

HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")
GETADDRINFO_S = 5.0
"""Time limit for getaddrinfo: by itself it asks each server twice at length, while a caller waits."""
MAX_TTL_S = 3600.0
"""Upper limit for the TTL of a record."""
NEGATIVE_TTL_S = 60.0
"""How long a negative answer is cached."""
FAILURE_TTL_S = 5.0
"""How long a query that no name server answered is not repeated."""
STALE_S = 3600.0
"""How long an expired answer is still used while no name server answers (RFC 8767)."""
MAX_NAMES = 2000


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str
    """Without a trailing dot; empty if the record says that the service is not available."""


@dataclass(frozen=True, slots=True)
class NaptrRecord:
    """One NAPTR record (RFC 3403 §4.1), with the fields that RFC 3263 §4.1 uses."""

    order: int
    preference: int
    flags: str
    service: str
    """Such as `SIPS+D2T`."""
    replacement: str
    """The name to query for SRV records, without a trailing dot."""


class Lookup(Protocol):
    """The name service as used by `Resolver`."""

    async def addresses(self, host: str) -> list[str]:
        """Numeric addresses of a name, best first; empty if it has none."""

    async def srv_records(self, name: str) -> list[SrvRecord]:
        """SRV records of a name, in any order; empty if it has none or no server answers."""

    async def naptr_records(self, name: str) -> list[NaptrRecord]:
        """NAPTR records of a name, in any order; empty if it has none or no server answers."""

    def failure(self, host: str) -> str:
        """The DNS error of the last address lookup of this name; empty if DNS answered."""


_Records = tuple[dns.rdata.Rdata, ...]


@dataclass(frozen=True, slots=True)
class _CachedAnswer:
    until: float
    stale_until: float
    records: _Records
    failure: str = ""
    """The error if no name server answered; empty if one did."""


class SystemLookup:
    """Looks names up in /etc/hosts, then in DNS, and as a last resort by getaddrinfo."""

    def __init__(
        self,
        *,
        patience_s: float = 2.0,
        nameservers: Iterable[str] | None = None,
        port: int = 53,
        source_of: Callable[[str], str | None] | None = None,
        hosts: Path = HOSTS,
        resolv_conf: Path = RESOLV_CONF,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`patience_s`: time limit for one query, over all name servers. `nameservers` and `port`: None uses
        those of the machine, and follows their changes. `source_of`: our source address for packets to an
        address; None without a route. `clock`: defaults to the loop's.
        """
        self._patience_s = patience_s
        self._nameservers = list(nameservers) if nameservers is not None else None
        self._port = port
        self._source_of = source_of or route_source
        self._hosts, self._resolv_conf, self._clock = hosts, resolv_conf, clock
        self._hosts_read, self._hosts_names = -1, set[str]()
        self._dns: dns.asyncresolver.Resolver | None = None
        self._dns_read = -1
        self._ordered: dict[str, tuple[_Records, list[str]]] = {}
        self._cache: dict[tuple[str, str], _CachedAnswer] = {}

    async def addresses(self, host: str) -> list[str]:
        """From getaddrinfo for local names, else from DNS, in RFC 6724 order (RFC 7984 §4.1)."""
        own = is_localhost(host) or "." not in host.rstrip(".") or self._in_hosts_file(host)
        found = () if own else await self._both_families(host)
        return self._best_first(host, found) if found else await self._by_getaddrinfo(host)

    async def srv_records(self, name: str) -> list[SrvRecord]:
        """SRV records; a failure counts as no record, since address records may still exist (§4.2)."""
        return [
            SrvRecord(record.priority, record.weight, record.port, record.target.to_text().removesuffix("."))
            for record in await self._query(name, "SRV")
            if isinstance(record, SRV)
        ]

    async def naptr_records(self, name: str) -> list[NaptrRecord]:
        """NAPTR records, without those that have a regular expression: RFC 3263 §4.1 uses replacements."""
        return [
            NaptrRecord(
                record.order,
                record.preference,
                record.flags.decode("ascii", "replace").lower(),
                record.service.decode("ascii", "replace").upper(),
                record.replacement.to_text().removesuffix("."),
            )
            for record in await self._query(name, "NAPTR")
            if isinstance(record, NAPTR) and not record.regexp
        ]

    def failure(self, host: str) -> str:
        """The error of the last A or AAAA query for this host; empty if DNS answered."""
        kept = (self._cache.get((host.lower(), kind)) for kind in ("A", "AAAA"))
        return next((each.failure for each in kept if each is not None and each.failure), "")

    async def _both_families(self, host: str) -> _Records:
        six, four = self._fresh(host, "AAAA"), self._fresh(host, "A")
        if six is not None and four is not None:
            return six + four
        asked = await asyncio.gather(self._query(host, "AAAA"), self._query(host, "A"))
        return asked[0] + asked[1]

    async def _query(self, name: str, kind: str) -> _Records:
        """DNS records, from the cache while they are valid."""
        if (fresh := self._fresh(name, kind)) is not None:
            return fresh
        key, now = (name.lower(), kind), self._now()
        kept, failure = self._cache.get(key), ""
        try:
            answer = await self._resolver().resolve(
                name, kind, lifetime=self._patience_s, raise_on_no_answer=False
            )
            records = tuple(answer.rrset) if answer.rrset is not None else ()
            kept_s = min(answer.rrset.ttl, MAX_TTL_S) if answer.rrset is not None else NEGATIVE_TTL_S
            stale_s = STALE_S
        except dns.resolver.NXDOMAIN:
            records, kept_s, stale_s = (), NEGATIVE_TTL_S, 0.0
        except (dns.exception.DNSException, OSError, ValueError) as error:  # resolv.conf may be bad, too
            failure = _failure(error)
            log.debug("no answer from dns", name=name, kind=kind, why=failure or type(error).__name__)
            stale = kept is not None and now < kept.stale_until
            records, kept_s = kept.records if kept is not None and stale else (), FAILURE_TTL_S
            stale_s = kept.stale_until - now - kept_s if kept is not None and stale else 0.0
        if len(self._cache) >= MAX_NAMES:
            self._cache.clear()
        self._cache[key] = _CachedAnswer(now + kept_s, now + kept_s + stale_s, records, failure)
        return records

    def _fresh(self, name: str, kind: str) -> _Records | None:
        """The cached records if still valid, else None."""
        kept = self._cache.get((name.lower(), kind))
        return kept.records if kept is not None and self._now() < kept.until else None

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()

    async def _by_getaddrinfo(self, host: str) -> list[str]:
        try:
            async with asyncio.timeout(GETADDRINFO_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except TimeoutError:
            log.debug("no answer from the system", name=host)
            return []
        except (OSError, UnicodeError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _in_hosts_file(self, host: str) -> bool:
        if self._nameservers is not None:
            return False
        with suppress(OSError, UnicodeError):
            changed = self._hosts.stat().st_mtime_ns
            if changed != self._hosts_read:
                lines = self._hosts.read_text(encoding="utf-8").splitlines()
                names = [line.partition("#")[0].lower().split()[1:] for line in lines]
                self._hosts_read, self._hosts_names = changed, {name for line in names for name in line}
        return host.lower().removesuffix(".") in self._hosts_names

    def _best_first(self, host: str, found: _Records) -> list[str]:
        """The addresses in RFC 6724 order; asks the kernel for routes once per DNS answer."""
        if host not in self._ordered or self._ordered[host][0] != found:
            if len(self._ordered) >= MAX_NAMES:
                self._ordered.clear()
            addresses = [record.to_text() for record in found]
            addresses.sort(key=lambda address: _destination_order(address, self._source_of(address)))
            self._ordered[host] = found, addresses
        return list(self._ordered[host][1])

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """The DNS resolver; replaced when resolv.conf changes."""
        changed = self._resolv_conf.stat().st_mtime_ns if self._nameservers is None else 0
        if self._dns is None or changed != self._dns_read:
            self._dns, self._dns_read = self._new_resolver(), changed
        return self._dns

    def _new_resolver(self) -> dns.asyncresolver.Resolver:
        made = dns.asyncresolver.Resolver(self._resolv_conf, configure=self._nameservers is None)
        if self._nameservers is not None:
            made.nameservers = list(self._nameservers)
            made.port = self._port
        # The first may be dead, or a datagram lost: leave time to ask each, and the first once more.
        made.timeout = self._patience_s / (len(made.nameservers) + 1)
        return made


def is_localhost(name: str) -> bool:
    """Whether a name is `localhost` or below it, which are never looked up in DNS (RFC 6761 §6.3)."""
    folded = name.lower().removesuffix(".")
    return folded == "localhost" or folded.endswith(".localhost")


def route_source(address: str) -> str | None:
    """Our source address for packets to this address, by the kernel's routing; None without a route."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:  # connecting UDP sends nothing
            probe.connect((address, 5060))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _destination_order(address: str, source: str | None) -> tuple[bool, bool, bool]:
    """Sort key for destinations (RFC 6724 §6): reachable, IPv6 source of the same scope, IPv6 before IPv4."""
    if source is None:
        return True, False, ":" not in address
    alike = ":" not in address or ip_address(address).is_global == ip_address(source).is_global
    return False, not alike, ":" not in address


def _failure(error: Exception) -> str:
    """What is wrong with the name servers, for a person; empty if it is the name that cannot be asked for."""
    match error:
        case dns.resolver.LifetimeTimeout():
            return "the name servers do not answer"
        case dns.resolver.NoNameservers():
            said = {
                dns.rcode.to_text(response.rcode())
                for *_, response in error.kwargs.get("errors", ())
                if response is not None
            }
            return f"the name servers answer {' and '.join(sorted(said)) or 'nothing that can be read'}"
        case dns.resolver.NoResolverConfiguration() | FileNotFoundError():
            return "this machine has no name server configured"
    return ""
