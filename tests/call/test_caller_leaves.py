"""The caller hangs up, at every stage: every other leg ends and nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from screening.contract import Connect, News, Ring
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, leg_ends, summary

CANCELLED = "the peer cancelled before an answer"


async def test_a_caller_cancels_while_the_agent_rings(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.carrier.receives(180)
    await edge.agent.receives("INVITE")
    assert (await edge.carrier.cancels()).status == 200
    await edge.carrier.receives(487)
    await edge.agent.receives("CANCEL")
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, None, None, "caller")
    assert leg_ends(record) == [("caller", CANCELLED), ("agent", "the caller hung up")]
    assert record.answered is None
    assert edge.screening.news == [News.CALLER_LEFT]
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ('SIP ;cause=200 ;text="Call completed elsewhere"', 'SIP;cause=200;text="Call completed elsewhere"'),
        ("Q.850;cause=16", 'Q.850;cause=16;text="the caller hung up"'),
    ],
)
async def test_the_callers_reason_answered_elsewhere_is_copied_to_the_phones_cancel_rfc3326_3_1(
    edge: Edge, reason: str, told: str
) -> None:
    edge.screener.planned = Ring("on the list")
    await edge.carrier.invites()
    await edge.phone.rings()
    await edge.carrier.current.cancels(headers=[("Reason", reason)])
    await edge.carrier.receives(487)
    assert (await edge.phone.receives("CANCEL")).headers.get("Reason") == told
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, "plan", "caller")
    await edge.assert_clean()


async def test_a_caller_cancels_immediately_after_its_invite(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.carrier.cancels()
    await edge.carrier.receives(487)
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_a_caller_cancels_before_the_agents_100_rfc3261_9_1(edge: Edge) -> None:
    """§9.1: no CANCEL may be sent before a provisional response, so it waits for one."""
    edge.wire.delay_s = 0.3
    await edge.carrier.invites()
    await edge.time_passes(
        1.3
    )  # our INVITE leaves at 1.5 s, the CANCEL comes at 1.6 s, the agent's 100 at 2.1 s
    await edge.carrier.cancels()
    await edge.carrier.receives(487)
    invite = await edge.agent.receives("INVITE")
    cancel = await edge.agent.receives("CANCEL")
    assert cancel.via.branch == invite.via.branch
    times = [each.at for each in edge.agent.trace if each.direction == "<"]
    assert times[1] - times[0] == pytest.approx(0.6, abs=0.01)
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_a_caller_cancels_while_we_connect_to_the_agent(edge: Edge) -> None:
    edge.wire.delay_s = 0.3
    await edge.carrier.invites()
    await edge.time_passes(0.5)
    await edge.carrier.cancels()
    await edge.carrier.receives(487)
    await edge.agent.receives_nothing(for_s=5)
    assert edge.agent.trace == []
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_a_caller_cancels_as_the_agent_answers(edge: Edge) -> None:
    edge.wire.delay_s = 0.3
    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    await edge.time_passes(0.4)
    cancelled = asyncio.ensure_future(edge.carrier.cancels())
    await edge.time_passes(0.1)
    await edge.agent.answers()
    await cancelled
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert summary(record)[0] is Result.CALLER_LEFT
    await edge.assert_clean()


async def test_a_cancel_crosses_our_200_and_a_bye_follows_rfc3261_9_2(edge: Edge) -> None:
    edge.wire.delay_s = 0.3
    await edge.carrier.invites()
    await edge.agent.answers()
    await edge.time_passes(0.4)  # our 200 is on its way to the caller
    assert (await edge.carrier.cancels()).status == 200
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    await edge.agent.receives("BYE")
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_a_caller_hangs_up_while_it_talks_to_the_agent(edge: Edge) -> None:
    await edge.connects()
    assert (await edge.carrier.hangs_up()).status == 200
    bye = await edge.agent.receives("BYE")
    assert bye.headers.get("Reason") == 'Q.850;cause=16;text="the caller hung up"'
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, None, None, "caller")
    assert leg_ends(record) == [("caller", "the peer hung up"), ("agent", "the caller hung up")]
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_caller_hangs_up_while_the_phone_rings(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    await edge.carrier.hangs_up()
    await edge.phone.receives("CANCEL")
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, "ALLOW", "refer", "caller")
    assert leg_ends(record)[1:] == [("agent", "the caller hung up"), ("phone", "the caller hung up")]
    assert edge.notify_statuses() == [100]
    await edge.assert_clean()


async def test_a_caller_hangs_up_as_the_phone_answers_rfc5407_3_1_2(edge: Edge) -> None:
    """CANCEL and 200 cross: the phone gets its ACK and then a BYE."""
    edge.wire.delay_s = 0.3
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    bye = asyncio.ensure_future(edge.carrier.hangs_up())
    await edge.time_passes(0.4)  # our CANCEL is on its way to the phone
    await edge.phone.answers()
    await bye
    await edge.phone.receives("CANCEL")
    await edge.phone.receives("BYE")
    received = [each.message for each in edge.phone.trace if each.direction == "<"]
    assert [message.method for message in received[-3:]] == ["CANCEL", "ACK", "BYE"]
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_a_phone_that_answers_just_before_the_caller_hangs_up_gets_a_bye(edge: Edge) -> None:
    edge.wire.delay_s = 0.3
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.phone.rings()
    await edge.phone.answers()
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    record = await edge.over()
    assert summary(record)[1:] == ("ALLOW", "verdict", "caller")
    await edge.assert_clean()


async def test_a_caller_who_never_sends_ack_gets_a_bye_rfc3261_13_3_1_4(edge: Edge) -> None:
    edge.carrier.auto.discard("ACK")
    await edge.carrier.invites()
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.carrier.receives("BYE", within_s=40)
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, None, None, "caller")
    assert record.outcome.reason == "the peer never acknowledged the answer"
    await edge.assert_clean(faults=False)  # our 200 was never acknowledged


async def test_a_caller_who_never_refreshes_its_session_gets_a_bye_rfc4028_10(new_edge: NewEdge) -> None:
    async with new_edge(audio=False) as edge:
        await edge.bridges()
        began = edge.now
        await edge.carrier.receives("BYE", within_s=600)
        assert edge.now - began == pytest.approx(600 - 32, abs=3)
        await edge.phone.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert leg_ends(record)[0] == ("caller", "the peer no longer refreshed the session")
        await edge.assert_clean()


async def test_a_caller_who_refreshes_its_session_stays_connected_rfc4028_7_4(new_edge: NewEdge) -> None:
    async with new_edge(audio=False) as edge:
        await edge.bridges()
        for _ in range(4):
            await edge.time_passes(300)
            answer = await edge.carrier.reinvites()
            assert answer.status == 200
            assert answer.headers.get("Session-Expires") == "600;refresher=uac"
        await edge.phone.hangs_up()
        await edge.carrier.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "phone")
        await edge.assert_clean()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_caller_hangs_up_while_the_phone_rings_on_a_lossy_network(
    new_edge: NewEdge, seed: int
) -> None:
    async with new_edge(seed=seed) as edge:
        await edge.connects()
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rings()
        await edge.carrier.hangs_up()
        await edge.phone.receives("CANCEL")
        assert summary(await edge.over()) == (Result.CALLER_LEFT, "ALLOW", "refer", "caller")
        await edge.assert_clean()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_caller_cancels_on_a_lossy_network(new_edge: NewEdge, seed: int) -> None:
    async with new_edge(seed=seed) as edge:
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)
        await edge.carrier.invites()
        await edge.agent.receives("INVITE")
        await edge.time_passes(1)
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await edge.agent.receives("CANCEL")
        assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
        await edge.assert_clean()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_busy_phone_is_notified_once_on_a_lossy_network(new_edge: NewEdge, seed: int) -> None:
    async with new_edge(seed=seed) as edge:
        await edge.connects()
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(486)
        await edge.agent.receives("NOTIFY", sipfrag=100)
        await edge.agent.receives("NOTIFY", sipfrag=486)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.agent.receives("NOTIFY", sipfrag=100)
        await edge.agent.receives("NOTIFY", sipfrag=200)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        edge.assert_never_silent()
        await edge.assert_clean()
