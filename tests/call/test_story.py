"""The main story: a welcome caller is screened and bridged, over every transport, with loss and delay."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ
from proxy.sip.digest import DigestClient
from screening.contract import Connect, News
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, leg_ends, summary

SEEDS = [1, 2, 3, 4, 5]


async def tell_the_story(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decided = Connect("a courier with a parcel")
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.phone.rings()
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.phone.receives_nothing(for_s=3)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert record.why == "a courier with a parcel"
    assert leg_ends(record) == [
        ("caller", "the peer hung up"),
        ("agent", "the caller is with the phone"),
        ("phone", "the caller hung up"),
    ]
    assert edge.screening.news == [
        News.AGENT_ANSWERED,
        News.REFER_ARRIVED,
        News.CONNECTED,
        News.CALLER_LEFT,
    ]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_screened_caller_is_bridged_to_the_phone_by_refer(new_edge: NewEdge, transport: str) -> None:
    async with new_edge(transport=transport) as edge:
        await tell_the_story(edge)
        talk = edge.time_of(edge.record.legs[2].answered) + 0.2
        assert edge.phone_audio.hears(CALLER_HZ, since=talk)
        assert edge.caller_audio.hears(PHONE_HZ, since=talk)
        assert edge.caller_audio.hears(AGENT_HZ)
        assert not edge.caller_audio.hears(AGENT_HZ, since=talk)
        assert not edge.agent_audio.hears(CALLER_HZ, since=talk)
        edge.assert_never_silent()
        await edge.assert_clean()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_caller_is_bridged_by_refer_despite_loss_duplication_and_reordering(
    new_edge: NewEdge, seed: int
) -> None:
    async with new_edge(seed=seed) as edge:
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)
        await tell_the_story(edge)
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_phone_that_hangs_up_first_ends_the_call(edge: Edge) -> None:
    await edge.bridges()
    await edge.phone.hangs_up()
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "phone")
    assert leg_ends(record)[0] == ("caller", "the call is over")
    assert News.CALLER_LEFT not in edge.screening.news
    await edge.assert_clean()


async def test_the_caller_hears_the_agent_while_the_phone_rings(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    rings = edge.now
    await edge.phone.receives_nothing(for_s=5)
    assert edge.caller_audio.hears(AGENT_HZ, since=rings + 4)
    assert edge.agent_audio.hears(CALLER_HZ, since=rings + 4)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    await edge.over()
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_caller_and_phone_can_hang_up_at_the_same_time_rfc5407_3_2_3(edge: Edge) -> None:
    await edge.bridges()
    await asyncio.gather(edge.carrier.hangs_up(), edge.phone.hangs_up())
    record = await edge.over()
    assert summary(record)[0] is Result.BRIDGED
    await edge.assert_clean()


@pytest.mark.parametrize("status", [401, 407])
async def test_a_challenge_to_our_bye_by_the_callers_trunk_is_answered_with_its_account(
    edge: Edge, status: int
) -> None:
    """RFC 3261 §22.1: any request may be challenged; unanswered, the carrier would keep the call up."""
    accounts = {"signalwire": DigestClient("screendoor", "secret")}
    object.__setattr__(edge.registry._context, "credentials", accounts.get)
    await edge.bridges()
    edge.carrier.auto.discard("BYE")
    await edge.phone.hangs_up()
    bye = await edge.carrier.receives("BYE")
    asks, answers = ("WWW", "Authorization") if status == 401 else ("Proxy", "Proxy-Authorization")
    challenge = (f"{asks}-Authenticate", 'Digest realm="carrier", nonce="n1", qop="auth"')
    edge.carrier.current.responds(bye, status, headers=[challenge])
    again = await edge.carrier.receives("BYE")
    assert 'username="screendoor", realm="carrier"' in (again.headers.get(answers) or "")
    edge.carrier.current.finish()
    edge.carrier.current.responds(again, 200)
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "phone")
    await edge.assert_clean()
