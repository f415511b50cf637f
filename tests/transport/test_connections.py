"""Limits on connections from unknown peers, and the logging of failed ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.transport.connections import ConnectionLimits, Connections
from proxy.transport.flow import Flow, source_of
from proxy.transport.stream import StreamFlow, StreamLimits
from proxy.transport.tls import ServerContext
from tests.transport.recorder import Recorder, options, server_tls
from tests.transport.wire import Wire

pytestmark = pytest.mark.virtual

LIMITS = ConnectionLimits(strangers=4, strangers_per_source=3, handshakes=3, handshakes_per_source=2)
OURS = "198.51.100.1"


class KnowingReceiver(Recorder):
    """A receiver that knows one address, and any peer that has sent a message."""

    def __init__(self) -> None:
        super().__init__()
        self.proven: set[Flow] = set()

    def welcomes(self, flow: Flow) -> bool:
        return flow.remote[0] == OURS or flow in self.proven

    def received(self, flow: Flow, data: bytes) -> None:
        self.proven.add(flow)
        super().received(flow, data)


class Setup:
    """A table of connections, and peers that connect in memory."""

    def __init__(self, context: ServerContext | None = None) -> None:
        self.receiver = KnowingReceiver()
        self.table = Connections(LIMITS, self.receiver.welcomes)
        self.context = context
        self.port = 4000

    def connects(self, host: str, **more: Any) -> StreamFlow:
        self.port += 1
        engine = self.context.engine() if self.context else None
        flow = StreamFlow(self.receiver, StreamLimits(), inbound=True, engine=engine, tracker=self.table)
        Wire(flow, peer=(host, self.port), **more)
        return flow

    def several(self, *hosts: str) -> list[StreamFlow]:
        return [self.connects(host) for host in hosts]


@pytest.fixture
def setup():
    return Setup()


@pytest.fixture
def tls(tmp_path, authority):
    return Setup(ServerContext(server_tls(tmp_path, authority, "edge.example")))


def states(flows: list[StreamFlow]) -> str:
    return "".join("-" if flow.closed else "+" for flow in flows)


async def test_oldest_stranger_is_closed_above_the_limit(setup):
    flows = setup.several(*(f"192.0.2.{n}" for n in range(6)))
    assert states(flows) == "--++++"
    assert setup.table.strangers == 4
    await asyncio.sleep(0)
    assert len(setup.table) == 4
    assert setup.table.refused == {"strangers": 2}
    assert setup.receiver.losses.empty()  # no `lost` for a connection that was never established


async def test_connections_above_the_limit_of_one_source_are_refused(setup):
    other = setup.connects("192.0.2.9")
    flows = setup.several(*["192.0.2.1"] * 5)
    assert states([other, *flows]) == "++++--"
    flows[0].abort()
    await asyncio.sleep(0)
    assert states([setup.connects("192.0.2.1")]) == "+"


async def test_known_peer_is_neither_counted_nor_refused(setup):
    ours = setup.several(*[OURS] * 50)
    strangers = setup.several(*(f"192.0.2.{n}" for n in range(6)))
    more = setup.several(*[OURS] * 50)
    assert states(ours + more) == "+" * 100
    assert states(strangers) == "--++++"


async def test_stranger_becoming_known_is_no_longer_counted(setup):
    first = setup.connects("192.0.2.1")
    first.data_received(options())
    assert setup.table.strangers == 0
    rest = setup.several(*(f"192.0.2.{n}" for n in range(10, 16)))
    assert states([first, *rest]) == "+--++++"


async def test_concurrent_handshakes_are_limited_in_total_and_per_source(tls):
    flows = tls.several("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2")
    assert states(flows) == "++-+"
    assert states([*flows, *tls.several("192.0.2.3")]) == "-+-++"
    assert tls.table.refused == {"handshakes": 2}


async def test_finished_handshake_no_longer_counts_against_the_limit(tls, tmp_path, authority):
    flow = tls.connects("192.0.2.1")
    tls.table.established(flow)
    assert tls.table.strangers == 1
    assert states([flow, *tls.several("192.0.2.2", "192.0.2.3", "192.0.2.4")]) == "++++"


async def test_handshakes_of_known_peers_are_not_limited(tls):
    tls.several("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    assert states(tls.several(*[OURS] * 20)) == "+" * 20


async def test_no_connection_is_accepted_while_closing(setup):
    setup.table.closing = True
    assert states(setup.several(OURS)) == "-"
    await asyncio.wait_for(setup.table.empty.wait(), 1)


async def test_failed_handshakes_are_logged_once_a_minute_per_source_and_counted_by_reason(tls):
    with capture_logs() as logs:
        for _ in range(3):
            tls.connects("192.0.2.1").data_received(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
            await asyncio.sleep(1)
        tls.connects("192.0.2.2").connection_lost(None)
        tls.connects("192.0.2.3")
        await asyncio.sleep(60)
        tls.connects("192.0.2.1").connection_lost(None)
    assert tls.table.refused == {"protocol": 3, "broken": 2, "timeout": 1}
    assert [line["source"] for line in logs] == ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]
    assert {line["log_level"] for line in logs} == {"info"}
    assert logs[2]["why"] == "TLS handshake not finished within 10 s"


async def test_refusals_from_many_sources_are_logged_at_a_limited_rate(setup):
    with capture_logs() as logs:
        setup.several(*(f"192.0.2.{n}" for n in range(104)))
        assert len(logs) == 30
        await asyncio.sleep(60)
        setup.several(*(f"192.0.2.{n}" for n in range(200, 205)))
    assert len(logs) == 31
    assert setup.table.refused == {"strangers": 101}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
async def test_source_is_an_ipv4_address_or_an_ipv6_64_prefix(setup, host, expected):
    assert source_of(setup.connects(host)) == expected
