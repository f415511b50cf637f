"""URI resolution (RFC 3263), with names from a table."""

from __future__ import annotations

import collections

import pytest

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.lookup import NaptrRecord, SrvRecord
from proxy.transport.resolver import Resolver


class Names:
    """A `Lookup` over a table, which records its queries."""

    def __init__(
        self,
        addresses: dict[str, list[str]],
        services: dict[str, list[SrvRecord]] | None = None,
        pointers: dict[str, list[NaptrRecord]] | None = None,
    ) -> None:
        self._addresses = addresses
        self._services = services or {}
        self._pointers = pointers or {}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        return self._addresses.get(host, [])

    async def srv_records(self, name: str) -> list[SrvRecord]:
        self.asked.append(name)
        return self._services.get(name, [])

    def failure(self, host: str) -> str:
        return ""

    async def naptr_records(self, name: str) -> list[NaptrRecord]:
        self.asked.append(f"naptr {name}")
        return self._pointers.get(name, [])


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
        ("sip:a@a.example;maddr=192.0.2.99", "udp", ("192.0.2.99", 5060)),
        ("sip:a@a.example:5070;maddr=[2001:db8::2];transport=tcp", "tcp", ("2001:db8::2", 5070)),
    ],
)
async def test_numeric_host_is_used_without_dns_rfc3263_4_2(uri, transport, address):
    names = Names({})
    (target,) = await resolve(uri, names)
    assert (target.transport, target.address) == (transport, address)
    assert names.asked == []


async def test_target_keeps_the_name_of_the_uri():
    assert (await resolve("sip:[2001:DB8::1]"))[0].name == "2001:DB8::1"
    services = {"_sips._tcp.a.example": [SrvRecord(1, 1, 5061, "host.example")]}
    names = Names({"host.example": ["192.0.2.1"]}, services)
    assert (await resolve("sips:a.example", names))[0].name == "a.example"


async def test_maddr_is_the_destination_and_host_the_tls_name_rfc3263_4_rfc5922_7_3():
    names = Names({"edge.example": ["192.0.2.7"]})
    assert await resolve("sips:a.example:5061;maddr=edge.example", names) == [
        Target("tls", ("192.0.2.7", 5061), "a.example")
    ]


async def test_explicit_port_needs_only_an_address_lookup_rfc3263_4_2():
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
async def test_srv_record_is_used_without_a_port_rfc3263_4_2(uri, service):
    names = Names({"host.example": ["192.0.2.1"]}, {service: [SrvRecord(10, 0, 5099, "host.example")]})
    (target,) = await resolve(uri, names)
    assert target.address == ("192.0.2.1", 5099)


@pytest.mark.parametrize(("uri", "port"), [("sip:a.example", 5060), ("sips:a.example", 5061)])
async def test_default_port_is_used_without_srv_records_rfc3263_4_2(uri, port):
    (target,) = await resolve(uri, Names({"a.example": ["192.0.2.1"]}))
    assert target.address == ("192.0.2.1", port)


async def test_srv_target_without_address_falls_back_to_the_host_s_address():
    services = {"_sip._udp.a.example": [SrvRecord(1, 1, 5070, "gone.example")]}
    names = Names({"a.example": ["192.0.2.1"]}, services)
    assert [target.address for target in await resolve("sip:a.example", names)] == [("192.0.2.1", 5060)]


async def test_srv_records_are_ordered_by_priority_rfc2782():
    one = SrvRecord(10, 0, 1, "192.0.2.1")
    services = [SrvRecord(20, 0, 2, "192.0.2.2"), one, one]
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
async def test_srv_records_of_one_priority_are_drawn_by_weight_rfc2782(draws, ports):
    services = [SrvRecord(1, weight, weight, "192.0.2.1") for weight in (70, 0, 30)]
    queue, highs = collections.deque(draws), []

    def draw(low: int, high: int) -> int:
        highs.append(high)
        return queue.popleft()

    resolver = Resolver(Names({}, {"_sip._udp.a.example": services}), draw=draw)
    targets = await resolver.resolve(Uri.parse("sip:a.example"))
    assert [target.address[1] for target in targets] == ports
    assert highs[0] == 100


async def test_srv_weights_share_the_load():
    services = [SrvRecord(1, 90, 90, "192.0.2.1"), SrvRecord(1, 10, 10, "192.0.2.2")]
    resolver = Resolver(Names({}, {"_sip._udp.a.example": services}))
    ports = [(await resolver.resolve(Uri.parse("sip:a.example")))[0].address[1] for _ in range(300)]
    assert 220 < ports.count(90) < 300


async def test_srv_target_of_a_dot_is_not_tried_rfc2782():
    names = Names({"a.example": ["192.0.2.1"]}, {"_sips._tcp.a.example": [SrvRecord(0, 0, 0, "")]})
    with pytest.raises(TransportFailed, match="offers no SIP over tls"):
        await resolve("sips:a.example", names)


async def test_localhost_is_never_queried_in_dns_rfc6761_6_3():
    names = Names({"localhost": ["127.0.0.1"], "edge.localhost": ["127.0.0.1"]})
    await resolve("sip:localhost", names)
    await resolve("sip:edge.localhost", names)
    assert names.asked == ["localhost", "edge.localhost"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sip:a.example", "host has no address: a.example"),
        ("tel:+14155550100", "a tel: URI names no host"),
        ("sip:a.example;transport=sctp", "transport not supported: sctp"),
        ("sips:a.example;transport=udp", "a sips: URI cannot be sent over udp"),
        ("sip:a.example;maddr=239.255.255.1", "a multicast address is not called"),
    ],
)
async def test_unresolvable_uri_is_refused_with_the_reason(uri, message):
    with pytest.raises(TransportFailed, match=message.replace("+", r"\+")):
        await resolve(uri)


# NAPTR (RFC 3263 §4.1).

UDP = NaptrRecord(50, 50, "s", "SIP+D2U", "_sip._udp.a.example")
TCP = NaptrRecord(90, 50, "s", "SIP+D2T", "_sip._tcp.a.example")
TLS = NaptrRecord(100, 50, "s", "SIPS+D2T", "_sips._tcp.tls.example")
SCTP = NaptrRecord(10, 10, "s", "SIP+D2S", "_sip._sctp.a.example")
HOSTS = {
    "_sip._udp.a.example": [SrvRecord(1, 1, 5060, "192.0.2.1")],
    "_sip._tcp.a.example": [SrvRecord(1, 1, 5060, "192.0.2.2")],
    "_sips._tcp.tls.example": [SrvRecord(1, 1, 5061, "192.0.2.3")],
}


async def resolve_naptr(
    uri: str, *pointers: NaptrRecord, transports: tuple[str, ...] = ("udp", "tcp", "tls")
) -> list[str]:
    resolver = Resolver(Names({}, HOSTS, {"a.example": list(pointers)}), draw=first)
    targets = await resolver.resolve(Uri.parse(uri), transports)
    assert {target.name for target in targets} == {"a.example"}
    return [f"{target.transport} {target.address[0]}" for target in targets]


@pytest.mark.parametrize(
    ("pointers", "found"),
    [
        ((TLS, TCP, UDP), ["udp 192.0.2.1", "tcp 192.0.2.2", "tls 192.0.2.3"]),
        ((TLS, SCTP), ["tls 192.0.2.3"]),
        ((UDP, NaptrRecord(50, 10, "s", "SIPS+D2T", TLS.replacement)), ["tls 192.0.2.3", "udp 192.0.2.1"]),
        ((NaptrRecord(1, 1, "u", "E2U+SIP", "other.example"), TCP), ["tcp 192.0.2.2"]),
        ((NaptrRecord(1, 1, "s", "SIP+D2T", "gone.example"), TLS), ["tls 192.0.2.3"]),
    ],
)
async def test_naptr_selects_transports_by_order_then_preference_rfc3263_4_1(pointers, found):
    assert await resolve_naptr("sip:a.example", *pointers) == found


async def test_sips_uri_uses_only_sips_services_rfc3263_4_1():
    assert await resolve_naptr("sips:a.example", UDP, TCP, TLS) == ["tls 192.0.2.3"]


async def test_unavailable_transport_is_skipped_rfc3263_4_1():
    assert await resolve_naptr("sip:a.example", UDP, TCP, transports=("tcp", "tls")) == ["tcp 192.0.2.2"]


@pytest.mark.parametrize("uri", ["sip:a.example;transport=tcp", "sip:a.example:5060", "sip:192.0.2.1"])
async def test_uri_with_transport_port_or_address_needs_no_naptr_rfc3263_4_1(uri):
    names = Names({"a.example": ["192.0.2.1"]}, HOSTS, {"a.example": [TLS]})
    await resolve(uri, names)
    assert "naptr a.example" not in names.asked


async def test_without_naptr_every_transport_with_service_records_is_used_rfc3263_4_1():
    assert await resolve_naptr("sip:a.example") == ["udp 192.0.2.1", "tcp 192.0.2.2"]


async def test_naptr_without_usable_srv_falls_back_to_srv_and_address():
    names = Names({"a.example": ["192.0.2.9"]}, {}, {"a.example": [TCP]})
    assert await resolve("sip:a.example", names) == [Target("udp", ("192.0.2.9", 5060), "a.example")]


async def test_only_the_first_32_srv_targets_are_used_rfc2782():
    services = [SrvRecord(priority, 1, priority, "192.0.2.1") for priority in reversed(range(1, 1001))]
    targets = await resolve("sip:example.com;transport=udp", Names({}, {"_sip._udp.example.com": services}))
    assert [target.address[1] for target in targets] == list(range(1, 33))
