"""Where URIs lead (RFC 3263), over a table of names; and the machine's own lookup, on loopback."""

from __future__ import annotations

import asyncio
import collections

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.resolver import Resolver, Service, SystemLookup


class Names:
    """A `Lookup` that knows what it is told, and remembers what it was asked."""

    def __init__(
        self, addresses: dict[str, list[str]], services: dict[str, list[Service]] | None = None
    ) -> None:
        self._addresses = addresses
        self._services = services or {}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        return self._addresses.get(host, [])

    async def services(self, name: str) -> list[Service]:
        self.asked.append(name)
        return self._services.get(name, [])


def first(low: int, high: int) -> int:
    return low


async def resolve(uri: str, names: Names | None = None) -> list[Target]:
    return await Resolver(names or Names({}), draw=first).resolve(Uri.parse(uri))


@pytest.mark.parametrize(
    ("uri", "transport", "address"),
    [
        ("sip:a@192.0.2.1", "udp", ("192.0.2.1", 5060)),
        ("sip:a@192.0.2.1:5080", "udp", ("192.0.2.1", 5080)),
        ("sip:a@192.0.2.1;transport=tcp", "tcp", ("192.0.2.1", 5060)),
        ("sip:a@192.0.2.1;transport=TLS", "tls", ("192.0.2.1", 5061)),
        ("sips:a@192.0.2.1", "tls", ("192.0.2.1", 5061)),
        ("sips:a@192.0.2.1:5062;transport=tcp", "tls", ("192.0.2.1", 5062)),
        ("sip:[2001:DB8::1]:5070", "udp", ("2001:db8::1", 5070)),
        ("sip:a@192.0.2.1;maddr=192.0.2.99", "udp", ("192.0.2.1", 5060)),
    ],
)
async def test_a_numeric_host_is_used_as_it_stands_rfc3263_4_2(uri, transport, address):
    names = Names({})
    (target,) = await resolve(uri, names)
    assert (target.transport, target.address) == (transport, address)
    assert names.asked == []


async def test_the_name_asked_for_stays_with_the_target():
    assert (await resolve("sip:[2001:DB8::1]"))[0].name == "2001:DB8::1"
    services = {"_sips._tcp.a.example": [Service(1, 1, 5061, "host.example")]}
    names = Names({"host.example": ["192.0.2.1"]}, services)
    assert (await resolve("sips:a.example", names))[0].name == "a.example"


async def test_an_explicit_port_asks_for_addresses_only_rfc3263_4_2():
    names = Names({"a.example": ["192.0.2.1", "2001:db8::1"]})
    assert await resolve("sip:a.example:5070;transport=tcp", names) == [
        Target("tcp", ("192.0.2.1", 5070), "a.example"),
        Target("tcp", ("2001:db8::1", 5070), "a.example"),
    ]
    assert names.asked == ["a.example"]


@pytest.mark.parametrize(
    ("uri", "service"),
    [
        ("sip:a.example", "_sip._udp.a.example"),
        ("sip:a.example;transport=udp", "_sip._udp.a.example"),
        ("sip:a.example;transport=tcp", "_sip._tcp.a.example"),
        ("sip:a.example;transport=tls", "_sips._tcp.a.example"),
        ("sips:a.example", "_sips._tcp.a.example"),
    ],
)
async def test_without_a_port_the_service_record_rules_rfc3263_4_2(uri, service):
    names = Names({"host.example": ["192.0.2.1"]}, {service: [Service(10, 0, 5099, "host.example")]})
    (target,) = await resolve(uri, names)
    assert target.address == ("192.0.2.1", 5099)


@pytest.mark.parametrize(("uri", "port"), [("sip:a.example", 5060), ("sips:a.example", 5061)])
async def test_without_service_records_the_default_port_is_used_rfc3263_4_2(uri, port):
    (target,) = await resolve(uri, Names({"a.example": ["192.0.2.1"]}))
    assert target.address == ("192.0.2.1", port)


async def test_service_records_that_lead_nowhere_fall_back_to_the_address():
    services = {"_sip._udp.a.example": [Service(1, 1, 5070, "gone.example")]}
    names = Names({"a.example": ["192.0.2.1"]}, services)
    assert [target.address for target in await resolve("sip:a.example", names)] == [("192.0.2.1", 5060)]


async def test_lower_priority_numbers_come_first_rfc2782():
    one = Service(10, 0, 1, "192.0.2.1")
    services = [Service(20, 0, 2, "192.0.2.2"), one, one]
    names = Names({}, {"_sip._udp.a.example": services})
    found = [target.address for target in await resolve("sip:a.example", names)]
    assert found == [("192.0.2.1", 1), ("192.0.2.2", 2)]


@pytest.mark.parametrize(
    ("draws", "ports"),
    [
        ([0, 0, 0], [0, 30, 70]),
        ([1, 31, 0], [30, 70, 0]),
        ([100, 0, 0], [70, 0, 30]),
        ([30, 70, 0], [30, 70, 0]),
    ],
)
async def test_within_a_priority_the_weights_decide_rfc2782(draws, ports):
    services = [Service(1, weight, weight, "192.0.2.1") for weight in (70, 0, 30)]
    queue, highs = collections.deque(draws), []

    def draw(low: int, high: int) -> int:
        highs.append(high)
        return queue.popleft()

    resolver = Resolver(Names({}, {"_sip._udp.a.example": services}), draw=draw)
    targets = await resolver.resolve(Uri.parse("sip:a.example"))
    assert [target.address[1] for target in targets] == ports
    assert highs[0] == 100


async def test_weights_share_the_load_by_default():
    services = [Service(1, 90, 90, "192.0.2.1"), Service(1, 10, 10, "192.0.2.2")]
    resolver = Resolver(Names({}, {"_sip._udp.a.example": services}))
    ports = [(await resolver.resolve(Uri.parse("sip:a.example")))[0].address[1] for _ in range(300)]
    assert 220 < ports.count(90) < 300


async def test_a_service_that_is_decidedly_not_there_is_not_tried_rfc2782():
    names = Names({"a.example": ["192.0.2.1"]}, {"_sips._tcp.a.example": [Service(0, 0, 0, "")]})
    with pytest.raises(TransportFailed, match="offers no SIP over tls"):
        await resolve("sips:a.example", names)


async def test_localhost_is_never_asked_of_dns_rfc6761_6_3():
    names = Names({"localhost": ["127.0.0.1"], "edge.localhost": ["127.0.0.1"]})
    await resolve("sip:localhost", names)
    await resolve("sip:edge.localhost", names)
    assert names.asked == ["localhost", "edge.localhost"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sip:a.example", "host has no address: a.example"),
        ("tel:+14155550100", "a tel: URI names no host"),
        ("sip:a.example;transport=sctp", "transport not supported: sctp"),
        ("sips:a.example;transport=udp", "a sips: URI cannot be sent over udp"),
    ],
)
async def test_a_uri_that_leads_nowhere_is_refused(uri, said):
    with pytest.raises(TransportFailed, match=said.replace("+", r"\+")):
        await resolve(uri)


# The machine's lookup, and a name server of our own.


class NameServer(asyncio.DatagramProtocol):
    """Answers SRV questions from a table; a name outside it gets NXDOMAIN, `silent.` nothing."""

    def connection_made(self, transport):
        self.transport = transport
        self.asked = 0

    def datagram_received(self, data, source):
        self.asked += 1
        query = dns.message.from_wire(data)
        question = query.question[0]
        if question.name.to_text().startswith("_sip._udp.silent."):
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if question.name.to_text() == "_sip._udp.a.example.":
            records = ["10 60 5070 one.example.", "10 40 5071 two.example.", "20 0 0 ."]
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "SRV", *records))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), source)


@pytest.fixture
async def server():
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()


def asking(server: NameServer, patience_s: float = 2.0) -> SystemLookup:
    port = server.transport.get_extra_info("sockname")[1]
    return SystemLookup(patience_s=patience_s, nameservers=["127.0.0.1"], port=port)


@pytest.mark.network
async def test_service_records_come_from_dns_and_are_kept_for_their_time(server):
    lookup = asking(server)
    expected = {
        Service(10, 60, 5070, "one.example"),
        Service(10, 40, 5071, "two.example"),
        Service(20, 0, 0, ""),
    }
    assert set(await lookup.services("_sip._udp.a.example")) == expected
    assert set(await lookup.services("_sip._udp.a.example")) == expected
    assert server.asked == 1


@pytest.mark.network
async def test_a_name_without_service_records_has_none(server):
    assert await asking(server).services("_sip._udp.b.example") == []


@pytest.mark.network
async def test_a_silent_name_server_counts_as_no_record(server):
    assert await asking(server, patience_s=0.2).services("_sip._udp.silent.example") == []


@pytest.mark.network
async def test_a_name_that_dns_cannot_carry_has_no_record(server):
    assert await asking(server).services(f"_sip._udp.{'a' * 64}.example") == []


@pytest.mark.network
async def test_localhost_resolves_by_the_machine():
    targets = await Resolver().resolve(Uri.parse("sip:edge@localhost:5070;transport=tls"))
    assert Target("tls", ("127.0.0.1", 5070), "localhost") in targets


@pytest.mark.network
async def test_a_name_the_machine_does_not_know_has_no_address():
    assert await SystemLookup().addresses("no-such-host.invalid") == []
    assert await SystemLookup().addresses("a" * 64 + ".invalid") == []
    assert SystemLookup()._resolver().nameservers
