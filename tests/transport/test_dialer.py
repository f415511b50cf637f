"""Outbound connections in virtual time: back-off after failures, and no leaks."""

from __future__ import annotations

import asyncio

import pytest

from proxy.transport.flow import Target, TransportFailed
from proxy.transport.network import SocketNetwork
from tests.transport.recorder import Recorder
from tests.transport.wire import Wire

pytestmark = pytest.mark.virtual

TARGET = Target("tcp", ("192.0.2.7", 5060), "peer.example")


@pytest.fixture
async def client():
    network = SocketNetwork(draw=lambda low, high: high)
    network.start(Recorder())
    yield network
    await network.close()
    assert len(network.connections) == 0
    assert asyncio.all_tasks() <= {asyncio.current_task()}


class ConnectStub:
    """Decides the outcome of connection attempts; by default they are refused."""

    def __init__(self) -> None:
        self.attempts: list[float] = []
        self.reachable = False

    async def create_connection(self, factory, host, port):
        loop = asyncio.get_running_loop()
        self.attempts.append(loop.time())
        if not self.reachable:
            raise ConnectionRefusedError(111, "Connection refused")
        protocol = factory()
        return Wire(protocol, peer=(host, port)), protocol


@pytest.fixture
async def peer(monkeypatch):
    place = ConnectStub()
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", place.create_connection)
    return place


async def test_failing_target_is_retried_with_back_off_whatever_the_demand(client, peer):
    start = asyncio.get_running_loop().time()
    for _ in range(2000):
        with pytest.raises(TransportFailed, match="Connection refused"):
            await client.connect(TARGET)
        await asyncio.sleep(0.01)
    at = [round(when - start, 1) for when in peer.attempts]
    assert at == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]


async def test_recovered_target_is_connected_after_the_back_off_and_its_failures_reset(client, peer):
    with pytest.raises(TransportFailed):
        await client.connect(TARGET)
    peer.reachable = True
    with pytest.raises(TransportFailed, match="Connection refused"):
        await client.connect(TARGET)
    await asyncio.sleep(0.5)
    flow = await client.connect(TARGET)
    flow.close()
    await asyncio.sleep(0)
    assert not (await client.connect(TARGET)).closed
    assert len(peer.attempts) == 3


async def test_failing_target_does_not_delay_others(client, peer):
    with pytest.raises(TransportFailed):
        await client.connect(TARGET)
    peer.reachable = True
    assert not (await client.connect(Target("tcp", ("192.0.2.8", 5060), "peer.example"))).closed


async def test_remembered_failures_are_limited(client, peer, monkeypatch):
    monkeypatch.setattr("proxy.transport.dialer.MAX_FAILURES", 3)
    for n in range(10):
        with pytest.raises(TransportFailed):
            await client.connect(Target("tcp", (f"192.0.2.{n}", 5060), "peer.example"))
    assert len(client._dialer._failures) <= 3


async def test_connection_is_shared_only_within_one_tls_profile(client, peer):
    peer.reachable = True
    one = await client.connect(TARGET)
    other = await client.connect(Target("tcp", TARGET.address, TARGET.name, "trunk carrier"))
    assert one is not other
    assert await client.connect(Target("tcp", TARGET.address, TARGET.name, "trunk carrier")) is other


async def test_unneeded_outbound_connection_is_closed(client, peer):
    peer.reachable = True
    flow = await client.connect(TARGET)
    flow.send(b"ACK")
    await asyncio.sleep(31)
    assert len(client.connections) == 1
    await asyncio.sleep(2)
    assert len(client.connections) == 0
    assert flow.closed
