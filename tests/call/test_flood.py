"""Floods of unknown senders during calls: the calls are unharmed, and memory does not grow."""

from __future__ import annotations

import asyncio

from proxy.call.bans import MAX_SOURCES
from proxy.call.capacity import Limit
from proxy.call.outcome import Result
from tests.kit import messages
from tests.kit.edge import CARRIER, EDGE, Edge, NewEdge, summary

EACH_S = 0.0005
"""Seconds between packets: two thousand a second."""


async def flood(edge: Edge, count: int, *, sources: int) -> None:
    """Send `count` INVITEs and OPTIONS from `sources` addresses; every tenth has a guessed To tag."""
    for number in range(count):
        host = f"10.{number % sources >> 16}.{number % sources >> 8 & 255}.{number % sources & 255}"
        method = ("INVITE", "OPTIONS")[number % 2]
        tag = "guess" if number % 10 == 0 else None
        data = messages.request(method, sent_by=host, branch=f"z9hG4bK{number}", to_tag=tag).encode()
        edge.host.datagram((host, 5060), (EDGE, 5060), data)
        await asyncio.sleep(EACH_S)


async def test_a_call_is_screened_and_bridged_during_a_flood_from_unknown_sources(edge: Edge) -> None:
    flooding = asyncio.ensure_future(flood(edge, 6000, sources=1000))
    await edge.bridges()
    await edge.carrier.hangs_up()
    await flooding
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_never_silent()
    answered = {one.destination[0] for one in edge.wire.trace if one.source[0] == EDGE}
    assert not {host for host in answered if host.startswith("10.")}
    await edge.assert_clean()


async def test_a_flood_leaves_no_transaction_and_bounded_ban_tables(edge: Edge) -> None:
    await flood(edge, 3000, sources=20)
    assert edge.gate.banned() == 20
    bans = edge.gate._bans
    assert len(bans._tally._now) + len(bans._tally._before) <= 20
    assert len(bans._datagrams) <= MAX_SOURCES
    assert not any(edge.core.left_over().values())
    assert len(edge.gate.summary()["strangers"]) == 10


async def test_a_flood_with_a_trunks_source_address_is_shed_by_the_trunks_rate_limit(
    new_edge: NewEdge,
) -> None:
    """A trunk's address can be forged: traffic from it is limited too, and established calls are safe."""
    async with new_edge(trunks={"signalwire": Limit(calls_per_s=5.0)}) as edge:
        await edge.bridges()
        for number in range(500):
            invite = messages.invite(
                "sip:+14155551234@sbc.example.com", sent_by=CARRIER, branch=f"z9hG4bKf{number}",
                call_id=f"f{number}", body=b"",
            )  # fmt: skip
            edge.host.datagram((CARRIER, 5999), (EDGE, 5060), invite.encode())
        await edge.time_passes(1)
        assert edge.capacity.counts["trunk"] >= 490
        assert edge.gate.banned() == 0
        assert len(edge.registry) <= 6
        await edge.registry.drain(0.0)
        records = [summary(record)[0] for record in edge.records]
        assert records.count(Result.BRIDGED) == 1
