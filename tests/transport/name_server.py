"""A small real name server on loopback: answers from a table over UDP, and counts what it is asked."""

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
"""Records in master file form, by name (with its final dot) and type."""


class NameServer(asyncio.DatagramProtocol):
    """A name outside the table gets NXDOMAIN; one of another type an empty answer."""

    def __init__(self, zone: Zone, ttl_s: int = 60) -> None:
        self.zone, self.ttl_s = dict(zone), ttl_s
        self.asked: list[tuple[str, str]] = []
        self.silent = False
        self.rcode: dns.rcode.Rcode | None = None
        """What it answers instead of any record, as SERVFAIL."""
        self.loses = 0
        """So many questions get lost on their way."""
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
    """A server on a port of the loopback interface, a free one unless it is said which."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone, ttl_s), local_addr=(host, port)
    )
    yield server
    transport.close()
