"""A small DNS server on loopback: answers from a table over UDP, and records its queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from proxy.transport.lookup import SystemLookup

Zone = Mapping[tuple[str, str], Sequence[str]]
"""Records in master file format, by name (with trailing dot) and type."""


class NameServer(asyncio.DatagramProtocol):
    """Answers NXDOMAIN for an unknown name, and an empty answer for an unknown type of a known name."""

    def __init__(self, zone: Zone, ttl_s: int = 60) -> None:
        self.zone, self.ttl_s = dict(zone), ttl_s
        self.asked: list[tuple[str, str]] = []
        self.silent = False
        self.rcode: dns.rcode.Rcode | None = None
        """What it answers instead of any record, as SERVFAIL."""
        self.loses = 0
        """How many further queries to ignore, as if lost."""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, source: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.silent or self.loses:
            self.loses = max(self.loses - 1, 0)
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, self.ttl_s, "IN", kind, *records))
        elif all(known != name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), source)

    def lookup(self, patience_s: float = 2.0, **options: Any) -> SystemLookup:
        """A lookup that asks this server alone."""
        return SystemLookup(patience_s=patience_s, nameservers=["127.0.0.1"], port=self.port, **options)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


@asynccontextmanager
async def a_name_server(
    zone: Zone, ttl_s: int = 60, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[NameServer]:
    """A running server; port 0 picks a free one."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone, ttl_s), local_addr=(host, port)
    )
    yield server
    transport.close()
