import asyncio

import pytest

from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, ListenOn, Network, Target, TransportFailed
from tests.kit.network import MemoryNetwork, Wire

pytestmark = pytest.mark.virtual

PING = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"


class Ear:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.heard: list[tuple[Flow, bytes]] = []
        self.losses: list[tuple[Flow, str]] = []
        self.barred: set[str] = set()

    def received(self, flow, data):
        self.heard.append((flow, data))

    def bars(self, flow):
        return flow.remote[0] in self.barred

    def unframeable(self, flow, error):
        raise AssertionError("memory flows carry whole messages")

    def lost(self, flow, error):
        self.losses.append((flow, str(error)))


def a_network(network: Network) -> Network:
    return network


async def host(wire: Wire, address: str, *transports: str, names=()) -> tuple[MemoryNetwork, Ear]:
    network, ear = wire.host(address, names), Ear()
    a_network(network).start(ear)
    for transport in transports:
        await network.listen(ListenOn(transport, (address, 5061 if transport == "tls" else 5060)))
    return network, ear


def to(address: Address, transport: str, name: str = "") -> Target:
    return Target(transport, address, name or address[0])


async def test_a_datagram_arrives_after_the_delay_and_can_be_answered_on_its_flow():
    wire = Wire(delay_s=0.25)
    a, a_hears = await host(wire, "192.0.2.1", "udp")
    _, b_hears = await host(wire, "192.0.2.2", "udp")
    loop = asyncio.get_running_loop()
    before = loop.time()
    (await a.connect(to(("192.0.2.2", 5060), "udp"))).send(PING)
    await asyncio.sleep(0.25)
    [(flow, data)] = b_hears.heard
    assert (flow.remote, flow.local) == (("192.0.2.1", 5060), ("192.0.2.2", 5060))
    assert (flow.reliable, data) == (False, PING)
    flow.send(b"SIP/2.0 200 OK\r\n\r\n")
    await asyncio.sleep(0.25)
    assert a_hears.heard[0][0] is await a.connect(to(("192.0.2.2", 5060), "udp"))
    assert [(sent.at - before, sent.start_line) for sent in wire.trace] == [
        (0.25, "OPTIONS sip:a@b SIP/2.0"),
        (0.5, "SIP/2.0 200 OK"),
    ]
    assert "udp 192.0.2.1:5060 -> 192.0.2.2:5060" in str(wire.trace[0])


async def test_a_datagram_without_a_listener_is_lost_without_an_error():
    wire = Wire()
    a, _ = await host(wire, "192.0.2.1", "udp")
    await host(wire, "192.0.2.2", "tcp")
    for place in ("192.0.2.2", "192.0.2.3"):
        (await a.connect(to((place, 5060), "udp"))).send(PING)
    await asyncio.sleep(1)
    assert wire.trace == []
    assert len(wire.lost) == 2


async def test_loss_duplication_and_reordering_are_the_same_for_the_same_seed():
    async def arrivals(seed: int) -> list[bytes]:
        wire = Wire(seed=seed)
        wire.impair(loss=0.2, duplication=0.2, reordering=0.3)
        a, _ = await host(wire, "192.0.2.1", "udp")
        _, hears = await host(wire, "192.0.2.2", "udp")
        flow = await a.connect(to(("192.0.2.2", 5060), "udp"))
        for n in range(50):
            flow.send(b"%d" % n)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        assert len(wire.trace) == len(hears.heard)
        return [data for _, data in hears.heard]

    first, again, other = await arrivals(7), await arrivals(7), await arrivals(8)
    assert first == again != other
    assert set(first) < {b"%d" % n for n in range(50)}
    assert len(first) > len(set(first))
    assert first != sorted(first, key=int)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_connection_has_two_ends_keeps_order_and_is_reused(transport):
    wire = Wire()
    a, a_hears = await host(wire, "192.0.2.1")
    _, b_hears = await host(wire, "192.0.2.2", transport, names=["b.example.com"])
    target = to(("192.0.2.2", 5061 if transport == "tls" else 5060), transport, "b.example.com")
    flow = await a.connect(target)
    assert flow is await a.connect(target)
    assert flow.peer_name == ("b.example.com" if transport == "tls" else None)
    for n in range(20):
        flow.send(b"%d" % n)
        wire.delay_s *= 0.9
    flow.send(b"\r\n\r\n")
    await asyncio.sleep(1)
    assert [data for _, data in b_hears.heard] == [b"%d" % n for n in range(20)]
    b_hears.heard[0][0].send(b"back")
    await asyncio.sleep(1)
    assert a_hears.heard == [(flow, b"back")]
    assert wire.flows() == [flow]


async def test_a_closed_port_refuses_and_an_unknown_host_times_out():
    wire = Wire()
    a, _ = await host(wire, "192.0.2.1")
    await host(wire, "192.0.2.2", "udp")
    loop = asyncio.get_running_loop()
    with pytest.raises(TransportFailed, match="refused"):
        await a.connect(to(("192.0.2.2", 5060), "tcp"))
    before = loop.time()
    with pytest.raises(TransportFailed, match="no answer within 4 s"):
        await a.connect(to(("192.0.2.9", 5060), "tcp"))
    assert loop.time() - before == 4


async def test_a_refused_handshake_fails_by_name_and_by_address_until_accepted():
    wire = Wire()
    a, _ = await host(wire, "192.0.2.1")
    await host(wire, "192.0.2.2", "tls", names=["ai.example.com"])
    target = to(("192.0.2.2", 5061), "tls", "ai.example.com")
    for who in ("AI.example.com", "192.0.2.2"):
        wire.refuse_tls(who, "certificate has expired")
        with pytest.raises(TransportFailed, match="certificate has expired"):
            await a.connect(target)
        wire.accept_tls(who)
    assert not (await a.connect(target)).closed


async def test_a_reset_connection_is_reported_at_both_ends_and_loses_data_in_transit():
    wire = Wire()
    a, a_hears = await host(wire, "192.0.2.1")
    _, b_hears = await host(wire, "192.0.2.2", "tcp")
    flow = await a.connect(to(("192.0.2.2", 5060), "tcp"))
    flow.send(PING)
    wire.cut(flow)
    wire.cut(flow)
    await asyncio.sleep(1)
    assert b_hears.heard == []
    assert len(a_hears.losses) == len(b_hears.losses) == 1
    with pytest.raises(TransportFailed):
        flow.send(PING)
    assert wire.flows() == []
    assert await a.connect(to(("192.0.2.2", 5060), "tcp")) is not flow


async def test_a_close_is_reported_to_the_other_end_after_the_data_sent_before():
    wire = Wire()
    a, a_hears = await host(wire, "192.0.2.1")
    _, b_hears = await host(wire, "192.0.2.2", "tcp")
    flow = await a.connect(to(("192.0.2.2", 5060), "tcp"))
    flow.send(PING)
    flow.close()
    flow.close()
    await asyncio.sleep(1)
    assert [data for _, data in b_hears.heard] == [PING]
    assert len(b_hears.losses) == 1
    assert a_hears.losses == []


async def test_a_silenced_host_neither_receives_nor_sends():
    wire = Wire()
    a, a_hears = await host(wire, "192.0.2.1", "udp")
    _, b_hears = await host(wire, "192.0.2.2", "udp", "tcp")
    stream = await a.connect(to(("192.0.2.2", 5060), "tcp"))
    wire.silence("192.0.2.2")
    stream.send(PING)
    (await a.connect(to(("192.0.2.2", 5060), "udp"))).send(PING)
    with pytest.raises(TransportFailed, match="no answer"):
        await a.connect(to(("192.0.2.2", 5060), "tcp", "another"))
    assert (a_hears.heard, b_hears.heard, a_hears.losses) == ([], [], [])
    wire.silence("192.0.2.2", False)
    stream.send(PING)
    await asyncio.sleep(1)
    assert len(b_hears.heard) == 1


async def test_uris_resolve_by_the_name_table_and_default_ports():
    wire = Wire()
    a, _ = await host(wire, "192.0.2.1", names=["one.example.com", "both.example.com"])
    wire.host("192.0.2.2", ["both.example.com"])

    async def places(uri: str) -> list[tuple[str, Address]]:
        return [(target.transport, target.address) for target in await a.resolve(Uri.parse(uri))]

    assert await places("sip:x@ONE.example.com") == [("udp", ("192.0.2.1", 5060))]
    assert await places("sip:x@one.example.com:5061;transport=tls") == [("tls", ("192.0.2.1", 5061))]
    assert await places("sips:x@one.example.com") == [("tls", ("192.0.2.1", 5061))]
    assert await places("sip:198.51.100.7:5070;transport=TCP") == [("tcp", ("198.51.100.7", 5070))]
    assert await places("sip:[2001:db8::1]") == [("udp", ("2001:db8::1", 5060))]
    assert [place[1][0] for place in await places("sip:both.example.com")] == ["192.0.2.1", "192.0.2.2"]
    for unknown in ("sip:nowhere.example.com", "sip:one.example.com;transport=sctp", "tel:+15550100"):
        with pytest.raises(TransportFailed):
            await a.resolve(Uri.parse(unknown))


async def test_listen_returns_the_bound_address_and_refuses_one_in_use():
    wire = Wire()
    a, _ = await host(wire, "192.0.2.1")
    assert await a.listen(ListenOn("udp", ("0.0.0.0", 5060))) == ("192.0.2.1", 5060)
    free = await a.listen(ListenOn("tcp", ("192.0.2.1", 0)))
    assert free[1] >= 49152
    with pytest.raises(TransportFailed, match="in use"):
        await a.listen(ListenOn("udp", ("192.0.2.1", 5060)))
    with pytest.raises(TransportFailed, match="cannot listen"):
        await a.listen(ListenOn("udp", ("192.0.2.99", 5060)))


async def test_a_closed_network_neither_receives_nor_sends():
    wire = Wire()
    a, a_hears = await host(wire, "192.0.2.1", "udp")
    b, b_hears = await host(wire, "192.0.2.2", "udp", "tcp")
    stream = await a.connect(to(("192.0.2.2", 5060), "tcp"))
    udp = await a.connect(to(("192.0.2.2", 5060), "udp"))
    await b.close()
    udp.send(PING)
    await asyncio.sleep(1)
    assert b_hears.heard == []
    assert [flow for flow, _ in a_hears.losses] == [stream]
    await a.close()
    with pytest.raises(TransportFailed):
        udp.send(PING)
    with pytest.raises(TransportFailed, match="no udp listener"):
        await a.connect(to(("192.0.2.2", 5060), "udp"))


async def test_datagrams_selected_by_lose_are_always_lost():
    wire = Wire()
    here, _ = await host(wire, "192.0.2.1", "udp")
    _, ear = await host(wire, "192.0.2.2", "udp")
    wire.lose = lambda source, destination, data: data.startswith(b"OPTIONS")
    flow = await here.connect(Target("udp", ("192.0.2.2", 5060), "192.0.2.2"))
    flow.send(PING)
    flow.send(PING.replace(b"OPTIONS", b"INFO"))
    await asyncio.sleep(0.1)
    assert [data[:4] for _, data in ear.heard] == [b"INFO"]
    assert [each.start_line for each in wire.lost] == ["OPTIONS sip:a@b SIP/2.0"]
