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
async def far(monkeypatch):
    place = ConnectStub()
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", place.create_connection)
    return place


async def test_a_target_that_refuses_is_asked_ever_less_often_however_many_calls_want_it(client, far):
    start = asyncio.get_running_loop().time()
    for _ in range(2000):
        with pytest.raises(TransportFailed, match="Connection refused"):
            await client.connect(TARGET)
        await asyncio.sleep(0.01)
    at = [round(when - start, 1) for when in far.attempts]
    assert at == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]


async def test_a_target_that_comes_back_is_taken_at_the_next_try_and_its_failures_are_forgotten(client, far):
    with pytest.raises(TransportFailed):
        await client.connect(TARGET)
    far.reachable = True
    with pytest.raises(TransportFailed, match="Connection refused"):
        await client.connect(TARGET)
    await asyncio.sleep(0.5)
    flow = await client.connect(TARGET)
    flow.close()
    await asyncio.sleep(0)
    assert not (await client.connect(TARGET)).closed
    assert len(far.attempts) == 3


async def test_other_targets_do_not_wait_for_one_that_fails(client, far):
    with pytest.raises(TransportFailed):
        await client.connect(TARGET)
    far.reachable = True
    assert not (await client.connect(Target("tcp", ("192.0.2.8", 5060), "peer.example"))).closed


async def test_failures_are_not_remembered_without_end(client, far, monkeypatch):
    monkeypatch.setattr("proxy.transport.dialer.MAX_FAILURES", 3)
    for n in range(10):
        with pytest.raises(TransportFailed):
            await client.connect(Target("tcp", (f"192.0.2.{n}", 5060), "peer.example"))
    assert len(client._dialer._failures) <= 3


async def test_a_connection_is_shared_on_the_same_terms_alone(client, far):
    far.reachable = True
    one = await client.connect(TARGET)
    other = await client.connect(Target("tcp", TARGET.address, TARGET.name, "trunk carrier"))
    assert one is not other
    assert await client.connect(Target("tcp", TARGET.address, TARGET.name, "trunk carrier")) is other


async def test_a_connection_to_a_place_that_nobody_needs_does_not_stay(client, far):
    far.reachable = True
    flow = await client.connect(TARGET)
    flow.send(b"ACK")
    await asyncio.sleep(31)
    assert len(client.connections) == 1
    await asyncio.sleep(2)
    assert len(client.connections) == 0
    assert flow.closed
