"""SystemLookup, against our own DNS server on loopback."""

from __future__ import annotations

import asyncio
import os

import dns.rcode
import pytest

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.lookup import NaptrRecord, SrvRecord, SystemLookup, route_source
from proxy.transport.resolver import Resolver
from tests.transport.name_server import a_name_server

pytestmark = pytest.mark.network

ZONE = {
    ("carrier.example.", "NAPTR"): [
        '20 50 "s" "SIP+D2U" "" _sip._udp.carrier.example.',
        '10 50 "S" "sips+d2t" "" _sips._tcp.carrier.example.',
        '5 50 "u" "E2U+sip" "!^.*$!sip:x@carrier.example!" .',
    ],
    ("_sips._tcp.carrier.example.", "SRV"): [
        "10 0 5061 one.carrier.example.",
        "20 0 5062 two.carrier.example.",
    ],
    ("_sip._udp.carrier.example.", "SRV"): ["10 60 5070 one.carrier.example.", "20 0 0 ."],
    ("one.carrier.example.", "A"): ["192.0.2.1"],
    ("one.carrier.example.", "AAAA"): ["2001:db8::1"],
    ("two.carrier.example.", "A"): ["192.0.2.2"],
}


def global_source(address: str) -> str:
    """Routes of a machine with global addresses of both families."""
    return "2001:db8::99" if ":" in address else "198.51.100.99"


async def pointers(lookup: SystemLookup) -> list[NaptrRecord]:
    """The NAPTR records sorted, since a server may return them in any order."""
    return sorted(await lookup.naptr_records("carrier.example"), key=lambda each: each.order)


async def test_domain_is_resolved_from_naptr_to_addresses_rfc3263_4():
    async with a_name_server(ZONE) as server:
        resolver = Resolver(server.lookup(source_of=global_source))
        assert await resolver.resolve(Uri.parse("sip:carrier.example")) == [
            Target("tls", ("2001:db8::1", 5061), "carrier.example"),
            Target("tls", ("192.0.2.1", 5061), "carrier.example"),
            Target("tls", ("192.0.2.2", 5062), "carrier.example"),
            Target("udp", ("2001:db8::1", 5070), "carrier.example"),
            Target("udp", ("192.0.2.1", 5070), "carrier.example"),
        ]
        asked = len(server.asked)
        await resolver.resolve(Uri.parse("sip:carrier.example"))
        assert len(server.asked) == asked


async def test_naptr_records_are_read_except_those_with_a_regular_expression_rfc3263_4_1():
    async with a_name_server(ZONE) as server:
        assert await pointers(server.lookup()) == [
            NaptrRecord(10, 50, "s", "SIPS+D2T", "_sips._tcp.carrier.example"),
            NaptrRecord(20, 50, "s", "SIP+D2U", "_sip._udp.carrier.example"),
        ]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_records_are_cached_for_their_ttl():
    clock = Clock()
    async with a_name_server(ZONE, ttl_s=60) as server:
        lookup = server.lookup(clock=clock)
        expected = {SrvRecord(10, 60, 5070, "one.carrier.example"), SrvRecord(20, 0, 0, "")}
        assert set(await lookup.srv_records("_sip._udp.carrier.example")) == expected
        clock.now += 59
        assert set(await lookup.srv_records("_SIP._udp.carrier.example")) == expected
        assert len(server.asked) == 1
        clock.now += 2
        assert set(await lookup.srv_records("_sip._udp.carrier.example")) == expected
        assert len(server.asked) == 2


async def test_negative_answer_is_cached_for_a_minute():
    clock = Clock()
    async with a_name_server(ZONE) as server:
        lookup = server.lookup(clock=clock)
        for name in ("_sip._tcp.nobody.example", "one.carrier.example"):
            assert await lookup.srv_records(name) == await lookup.srv_records(name) == []
        assert len(server.asked) == 2
        clock.now += 61
        assert await lookup.srv_records("one.carrier.example") == []
        assert len(server.asked) == 3


async def test_expired_records_are_used_for_an_hour_while_no_server_answers_rfc8767():
    clock = Clock()
    async with a_name_server(ZONE) as server:
        lookup = server.lookup(patience_s=0.1, clock=clock)
        known = await pointers(lookup)
        server.silent = True
        clock.now += 61
        assert await pointers(lookup) == known
        asked = len(server.asked)
        assert await pointers(lookup) == known
        assert len(server.asked) == asked, "a dead server costs its patience once in a while, not every time"
        clock.now += 3601
        assert await pointers(lookup) == []
        server.silent = False
        clock.now += 6
        assert await pointers(lookup) == known


async def test_silent_name_server_gives_no_records():
    async with a_name_server(ZONE) as server:
        server.silent = True
        assert await server.lookup(patience_s=0.1).srv_records("_sip._udp.carrier.example") == []


async def test_name_with_an_overlong_label_has_no_records():
    async with a_name_server(ZONE) as server:
        assert await server.lookup().srv_records(f"_sip._udp.{'a' * 64}.example") == []


@pytest.mark.parametrize(
    ("sources", "first"),
    [
        ({"2001:db8::1": "2001:db8::99", "192.0.2.1": "198.51.100.9"}, "2001:db8::1"),
        ({"2001:db8::1": None, "192.0.2.1": "198.51.100.9"}, "192.0.2.1"),
        ({"2001:4860::1": "fd00::99", "192.0.2.1": "198.51.100.9"}, "192.0.2.1"),
        ({"2001:4860::1": "2a00::99", "192.0.2.1": "10.0.0.9"}, "2001:4860::1"),
    ],
)
async def test_addresses_are_sorted_by_reachability_rfc6724_6(sources, first):
    zone = {("host.example.", "AAAA" if ":" in each else "A"): [each] for each in sources}
    async with a_name_server(zone) as server:
        found = await server.lookup(source_of=sources.get).addresses("host.example")
    assert found[0] == first
    assert set(found) == set(sources)


async def test_routes_are_looked_up_once_per_dns_answer():
    asked, clock = [], Clock()

    def source_of(address: str) -> str:
        asked.append(address)
        return global_source(address)

    async with a_name_server(ZONE) as server:
        lookup = server.lookup(source_of=source_of, clock=clock)
        for _ in range(3):
            assert await lookup.addresses("one.carrier.example") == ["2001:db8::1", "192.0.2.1"]
        assert sorted(asked) == ["192.0.2.1", "2001:db8::1"]
        server.zone["one.carrier.example.", "A"] = ["192.0.2.5"]
        clock.now += 61
        assert await lookup.addresses("one.carrier.example") == ["2001:db8::1", "192.0.2.5"]


async def test_hosts_file_names_are_recognised(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("# nothing\n127.0.0.1 localhost  # edge.example\n192.0.2.4 Phone.Example desk\n")
    lookup = SystemLookup(hosts=hosts)
    assert lookup._in_hosts_file("phone.example.")
    assert not lookup._in_hosts_file("edge.example")
    assert not SystemLookup(hosts=tmp_path / "none")._in_hosts_file("phone.example")


async def test_name_in_the_hosts_file_is_not_queried_in_dns(tmp_path, monkeypatch):
    async def by_machine(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("192.0.2.4", 0))] if host == "phone.carrier.example" else []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", by_machine)
    (hosts := tmp_path / "hosts").write_text("192.0.2.4 phone.carrier.example\n")
    (resolv_conf := tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    async with a_name_server({("phone.carrier.example.", "A"): ["198.51.100.4"]}) as server:
        lookup = SystemLookup(hosts=hosts, resolv_conf=resolv_conf)
        lookup._resolver().port = server.port
        assert await lookup.addresses("phone.carrier.example") == ["192.0.2.4"]
        assert server.asked == []


async def test_dead_name_server_leaves_time_for_the_next():
    async with a_name_server(ZONE) as server, a_name_server(ZONE, host="127.0.0.2", port=server.port) as dead:
        dead.silent = True
        lookup = SystemLookup(patience_s=1.2, nameservers=["127.0.0.2", "127.0.0.1"], port=server.port)
        assert len(await lookup.srv_records("_sips._tcp.carrier.example")) == 2
        assert dead.asked == [("_sips._tcp.carrier.example.", "SRV")]


async def test_lost_query_is_retransmitted():
    async with a_name_server(ZONE) as server:
        server.loses = 1
        assert len(await server.lookup(patience_s=1.0).srv_records("_sips._tcp.carrier.example")) == 2
        assert len(server.asked) == 2


async def test_resolv_conf_is_reread_when_it_changes(tmp_path):
    resolv_conf_file = tmp_path / "resolv.conf"
    lookup = SystemLookup(resolv_conf=resolv_conf_file)
    assert await lookup.srv_records("_sip._udp.carrier.example") == []  # the network is not there yet
    for number, words in enumerate(("nameserver 192.0.2.53", "nameserver 192.0.2.54\noptions rotate")):
        resolv_conf_file.write_text(f"search example\n{words}\n")
        os.utime(resolv_conf_file, (number, number))
        assert lookup._resolver().nameservers == [f"192.0.2.{53 + number}"]
        assert lookup._resolver() is lookup._resolver()
    resolv_conf_file.write_text("nameserver what-is-this\n")
    assert await lookup.srv_records("_sip._tcp.carrier.example") == []


async def test_localhost_is_resolved_by_the_system():
    targets = await Resolver().resolve(Uri.parse("sip:edge@localhost:5070;transport=tls"))
    assert Target("tls", ("127.0.0.1", 5070), "localhost") in targets


async def test_unknown_name_has_no_address():
    async with a_name_server(ZONE) as server:
        assert await server.lookup().addresses("no-such-host.invalid") == []
        assert await server.lookup().addresses("a" * 64 + ".invalid") == []
    assert SystemLookup()._resolver().nameservers


async def refusal(lookup: SystemLookup, host: str) -> str:
    with pytest.raises(TransportFailed) as failed:
        await Resolver(lookup).resolve(Uri.parse(f"sip:{host}:5061;transport=tls"))
    return str(failed.value)


async def test_failed_lookup_is_reported_apart_from_a_name_without_address():
    async with a_name_server(ZONE) as server:
        gone = server.lookup(patience_s=0.1)
        assert await refusal(gone, "gone.invalid") == "host has no address: gone.invalid"
        server.rcode = dns.rcode.SERVFAIL
        broken = "host not resolved, the name servers answer SERVFAIL: broken.invalid"
        assert await refusal(server.lookup(), "broken.invalid") == broken
        server.silent = True
        silent = "host not resolved, the name servers do not answer: silent.invalid"
        assert await refusal(server.lookup(patience_s=0.1), "silent.invalid") == silent


@pytest.mark.parametrize("text", ["", None])
async def test_missing_name_server_configuration_is_reported(tmp_path, text):
    resolv_conf = tmp_path / "resolv.conf"
    if text is not None:
        resolv_conf.write_text(text, encoding="utf-8")
    none = "host not resolved, this machine has no name server configured: a.invalid"
    assert await refusal(SystemLookup(resolv_conf=resolv_conf), "a.invalid") == none


def test_route_source_returns_the_local_address_of_the_route():
    assert route_source("127.0.0.1") == "127.0.0.1"
    assert route_source("::1") == "::1"
    assert route_source("224.0.0.300") is None
