"""Who may talk to us: the trunks, by address; a stranger hears nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from proxy.call.admission import MOST_SOURCES, QUIET_S, REFRESH_S, Admission
from proxy.lab.carrier import Carrier
from proxy.sip.errors import ParseError
from tests.kit.edge import CARRIER, HOST, STRANGER, Edge


def a_flow(host: str) -> SimpleNamespace:
    return SimpleNamespace(remote=(host, 5060), transport="udp")


async def nobody(name: str) -> Sequence[str]:
    raise OSError(f"{name} is not known")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_stranger_gets_no_answer(edge: Edge, transport: str) -> None:
    host = edge.wire.host(STRANGER)
    port = 5061 if transport == "tls" else 5060
    stranger = Carrier(host, edge=f"{HOST}:{port}", bind=(STRANGER, port), transport=transport)
    await stranger.start()
    with capture_logs() as logs:
        await stranger.invites()
        await stranger.receives_nothing(for_s=30)
    assert [each for each in stranger.trace if each.direction == "<"] == []
    warnings = [line for line in logs if line["event"] == "unknown source ignored"]
    assert [line["source"] for line in warnings] == [STRANGER]
    assert edge.refused
    assert edge.records == []
    assert not any(edge.core.left_over().values())
    await stranger.close()


async def test_a_stranger_with_a_tag_of_its_own_gets_no_answer_either(edge: Edge) -> None:
    host = edge.wire.host(STRANGER)
    stranger = Carrier(host, edge=f"{HOST}:5060", bind=(STRANGER, 5060))
    await stranger.start()
    await stranger.invites()
    stranger.current.remote += ";tag=guess"
    bye = stranger.current.request("BYE")
    stranger.current.flow.send(bye.encode())
    await stranger.receives_nothing(for_s=30)
    assert [each for each in stranger.trace if each.direction == "<"] == []
    await stranger.close()


async def test_a_malformed_message_of_a_trunk_is_400_and_of_a_stranger_nothing(edge: Edge) -> None:
    await edge.carrier.invites(dialed="+14155550199")
    await edge.carrier.receives(404)
    sent = edge.carrier.current.invite.encode().replace(b"CSeq: 105354320 INVITE", b"CSeq: x INVITE")
    sent = sent.replace(b"branch=", b"branch=z9hG4bK-again-")
    flow = edge.carrier.current.flow
    with capture_logs() as logs:
        flow.send(sent)
        flow.send(b"\x00\x01\x02 nonsense \xff")
        await edge.passes(1)
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
    assert len(edge.unreadable) == 2
    statuses = [each.data for each in edge.wire.trace if each.destination[0] == CARRIER]
    assert statuses[-1].startswith(b"SIP/2.0 400 ")


def test_addresses_and_networks_are_admitted() -> None:
    gate = Admission({"a": ["198.51.100.7"], "b": ["192.0.2.0/24", "2001:db8::/32"]}, nobody)
    assert gate.admits(a_flow("198.51.100.7"))
    assert gate.admits(a_flow("192.0.2.99"))
    assert gate.admits(a_flow("2001:db8::1"))
    assert not gate.admits(a_flow("198.51.100.8"))
    assert not gate.admits(a_flow("2001:db9::1"))


async def test_names_are_resolved_again_and_again() -> None:
    addresses = ["192.0.2.1"]

    async def lookup(name: str) -> Sequence[str]:
        return list(addresses)

    gate = Admission({"trunk": ["sip.example.com"]}, lookup)
    assert not gate.admits(a_flow("192.0.2.1"))
    await gate.refresh()
    assert gate.admits(a_flow("192.0.2.1"))
    addresses[:] = ["192.0.2.2"]
    keeping = asyncio.ensure_future(gate.keep_fresh())
    await asyncio.sleep(REFRESH_S + 1)
    assert gate.admits(a_flow("192.0.2.2"))
    assert not gate.admits(a_flow("192.0.2.1"))
    addresses.clear()
    await asyncio.sleep(REFRESH_S)
    assert gate.admits(a_flow("192.0.2.2"))
    keeping.cancel()


async def test_a_name_that_cannot_be_resolved_now_keeps_its_addresses() -> None:
    gate = Admission({"trunk": ["sip.example.com"]}, nobody)
    with capture_logs() as logs:
        await gate.refresh()
    assert [line["event"] for line in logs] == ["trunk name not resolved"]
    assert not gate.admits(a_flow("192.0.2.1"))


async def test_a_source_is_logged_once_a_minute_and_counted_each_time() -> None:
    counted: list[None] = []
    gate = Admission({}, nobody, turned_away=lambda: counted.append(None))
    with capture_logs() as logs:
        for _ in range(3):
            gate.refused(a_flow("192.0.2.1"))
        gate.refused(a_flow("192.0.2.2"))
        await asyncio.sleep(QUIET_S)
        gate.refused(a_flow("192.0.2.1"))
    assert [line["source"] for line in logs] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    assert len(counted) == 5


async def test_a_flood_of_sources_takes_no_memory() -> None:
    gate = Admission({}, nobody)
    with capture_logs():
        for number in range(MOST_SOURCES + 5):
            gate.refused(a_flow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(gate._told) == 5


async def test_what_cannot_be_read_is_counted() -> None:
    counted: list[None] = []
    gate = Admission({}, nobody, unreadable=lambda: counted.append(None))
    gate.malformed(a_flow("192.0.2.1"), ParseError("nonsense"))
    assert len(counted) == 1


def test_a_peer_gone_before_its_address_could_be_read_is_a_stranger() -> None:
    assert not Admission({"t": ["192.0.2.0/24"]}, nobody).admits(a_flow(""))
