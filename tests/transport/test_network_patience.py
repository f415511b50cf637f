"""Timeouts of the network, in virtual time: connections in memory, real timer values."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.uri import Uri
from proxy.transport.flow import Target, TransportFailed
from proxy.transport.lookup import SystemLookup
from proxy.transport.network import SocketNetwork
from proxy.transport.resolver import Resolver
from proxy.transport.tls import ClientTls
from tests.transport.recorder import Recorder, ca_file, options
from tests.transport.wire import Wire

pytestmark = pytest.mark.virtual


@pytest.fixture
async def client(tmp_path, authority):
    network = SocketNetwork(client_tls=ClientTls(ca_file(tmp_path, authority)))
    network.start(Recorder())
    yield network
    await network.close()
    assert len(network.connections) == 0
    assert asyncio.all_tasks() <= {asyncio.current_task()}


@pytest.fixture
def dial(monkeypatch):
    """Let every connection succeed at once, to a peer that never sends anything."""

    def arrange(**wire: bool) -> None:
        async def create_connection(factory, host, port):
            protocol = factory()
            return Wire(protocol, peer=(host, port), **wire), protocol

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)

    return arrange


async def test_handshake_without_answer_fails_after_four_seconds(client, dial):
    dial()
    start = asyncio.get_running_loop().time()
    with pytest.raises(TransportFailed) as failed:
        await client.connect(Target("tls", ("192.0.2.7", 5061), "silent.example"))
    assert str(failed.value) == (
        "no connection to silent.example (192.0.2.7 port 5061) over tls: no answer within 4 s"
    )
    assert asyncio.get_running_loop().time() - start == 4


async def test_tcp_connect_without_answer_fails_after_four_seconds(client, monkeypatch):
    async def create_connection(factory, host, port):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    with pytest.raises(TransportFailed, match="no answer within 4 s"):
        await client.connect(Target("tcp", ("192.0.2.7", 5060), "silent.example"))


async def test_peer_that_never_reads_delays_close_by_at_most_a_second(client, dial):
    dial(reading=False)
    flow = await client.connect(Target("tcp", ("192.0.2.7", 5060), "deaf.example"))
    flow.send(options())
    start = asyncio.get_running_loop().time()
    await client.close()
    assert asyncio.get_running_loop().time() - start == 1
    assert len(client.connections) == 0


async def test_abandoned_connect_attempt_fails_without_logging(client, dial, caplog):
    dial()
    waiting = asyncio.create_task(client.connect(Target("tls", ("192.0.2.7", 5061), "silent.example")))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(10)
    assert caplog.records == []
    assert len(client.connections) == 0


async def test_unanswered_lookup_fails_within_eight_seconds(monkeypatch):
    async def silent(host, port, **how):
        await asyncio.sleep(30)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    resolver = Resolver(SystemLookup(nameservers=["192.0.2.53"]))
    async with asyncio.timeout(8):  # the time that an agent has to answer a call
        with pytest.raises(TransportFailed, match="host has no address: switchboard"):
            await resolver.resolve(Uri.parse("sip:agent@switchboard:5061;transport=tls"))
