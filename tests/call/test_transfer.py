"""Transfer by the agent: by REFER, by its verdict, by both; and targets that must not be dialled."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from proxy.call.routing import Destination
from proxy.lab.audio import CALLER_HZ, PHONE_HZ
from screening.contract import Connect, Decline, News
from tests.kit.edge import (
    CARRIER,
    EDGE,
    PHONE_NUMBER,
    STRANGER,
    TRUNK,
    Edge,
    NewEdge,
    a_number,
    leg_ends,
    summary,
)
from tests.kit.messages import request

SECOND = "+14155550002"


def two_destinations() -> tuple[Destination, Destination]:
    first = a_number().destinations[0]
    return first, Destination(f"sip:{SECOND}@trunk.example.com", SECOND, first.trunk)


@pytest.mark.parametrize("fault", ["refer-500", "refer-504", "refer-silent"])
async def test_the_verdict_connects_the_call_without_a_refer(edge: Edge, fault: str) -> None:
    await edge.connects()
    edge.screening.decides(Connect(f"a friend, in spite of {fault}"))
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.phone_audio.hears(CALLER_HZ)
    assert edge.caller_audio.hears(PHONE_HZ)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
    assert record.why == f"a friend, in spite of {fault}"
    assert edge.notify_statuses() == []
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_refer_over_a_new_connection_connects_the_call(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}", new_connection=True)
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_refer_over_a_new_connection_works_after_the_old_one_was_reset(edge: Edge) -> None:
    await edge.connects()
    edge.wire.cut(edge.wire.flows()[0])
    await edge.time_passes(1)
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_our_bye_opens_a_new_connection_after_the_agents_was_reset(edge: Edge) -> None:
    await edge.connects()
    edge.wire.cut(edge.wire.flows()[0])
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    await edge.agent.receives("BYE")
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_a_second_refer_while_the_phone_rings_is_491(edge: Edge) -> None:
    await edge.connects()
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.rings()
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 491
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert edge.notify_statuses() == [100, 200]
    assert len(edge.phone.calls) == 1
    await edge.assert_clean()


async def test_a_refer_while_the_phone_rings_for_the_verdict_is_accepted_without_a_second_call(
    edge: Edge,
) -> None:
    await edge.connects()
    friend = edge.screening.decided = Connect("refer_patience_s is over")
    edge.screening.decides(friend)
    await edge.phone.rings()
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
    assert len(edge.phone.calls) == 1
    await edge.assert_clean()


async def test_a_refer_to_another_target_while_the_phone_rings_is_403(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Connect("refer_patience_s is over"))
    await edge.phone.rings()
    assert (await edge.agent.refers("tel:+19005550100")).status == 403
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
    await edge.assert_clean()


@pytest.mark.parametrize(
    "target",
    [
        "tel:+19005550100",
        "sip:+19005550100@trunk.example.com",
        "sip:attacker@192.0.2.66",
        "sip:trunk.example.com",
    ],
)
async def test_a_refer_to_an_unconfigured_target_is_403_and_the_call_goes_on(edge: Edge, target: str) -> None:
    await edge.connects()
    assert (await edge.agent.refers(target)).status == 403
    await edge.phone.receives_nothing(for_s=3)
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert "refer refused: its target is not a configured destination" in record.steps
    [rung] = edge.phone.calls.values()
    assert rung.invite.uri == f"sip:{PHONE_NUMBER}@trunk.example.com"
    await edge.assert_clean()


async def test_the_configured_uri_is_dialled_not_that_of_the_refer(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"sip:{PHONE_NUMBER}@192.0.2.66;transport=tcp")
    call = await edge.phone.answers()
    assert call.invite.uri == f"sip:{PHONE_NUMBER}@trunk.example.com"
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize("target", [f"tel:{SECOND}", f"sip:{SECOND}@trunk.example.com"])
async def test_a_refer_selects_one_of_several_destinations(new_edge: NewEdge, target: str) -> None:
    async with new_edge(number=a_number(destinations=two_destinations())) as edge:
        await edge.connects()
        await edge.agent.refers(target)
        call = await edge.phone.answers()
        assert call.invite.uri == f"sip:{SECOND}@trunk.example.com"
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_a_verdict_rings_several_destinations_in_turn(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(destinations=two_destinations())) as edge:
        await edge.connects()
        edge.screening.decides(Connect("a friend"))
        first = await edge.phone.rejects(486)
        second = await edge.phone.answers()
        assert [first.invite.to.uri.user, second.invite.to.uri.user] == [PHONE_NUMBER, SECOND]
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
        assert leg_ends(record)[2:] == [("phone", "486 Busy Here"), ("phone", "the caller hung up")]
        assert News.PHONE_BUSY not in edge.screening.news
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_only_the_agent_may_refer(edge: Edge) -> None:
    await edge.bridges()
    refer = [("Refer-To", "<tel:+19005550100>")]
    assert (await edge.carrier.requests("REFER", headers=refer)).status == 603
    assert (await edge.phone.requests("REFER", headers=refer)).status == 603
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_an_out_of_dialog_refer_is_603_for_a_trunk_and_ignored_from_unknown_sources(
    edge: Edge,
) -> None:
    await edge.connects()
    for sender in (edge.wire.hosts[CARRIER], edge.wire.hosts[TRUNK], edge.wire.host(STRANGER)):
        number = len(edge.wire.trace)
        refer = request(
            "REFER", sent_by=sender.address, branch=f"z9hG4bK{number}", call_id=f"c{number}",
            headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")],
        )  # fmt: skip
        edge.host.datagram((sender.address, 5060), (EDGE, 5060), refer.encode())
        await edge.time_passes(0.1)
        answers = [one.start_line for one in edge.wire.trace[number:] if one.destination[0] == sender.address]
        assert answers == ([] if sender.address == STRANGER else ["SIP/2.0 603 Decline"])
    assert len(edge.phone.calls) == 0
    await edge.carrier.hangs_up()
    await edge.assert_clean(faults=False)


async def test_a_refer_of_the_agent_after_its_bye_is_481_rfc3261_12_2_2(edge: Edge) -> None:
    await edge.bridges()
    answer = await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    assert answer.status == 481, "no dialog any more, yet it was one of ours a second ago"
    assert len(edge.phone.calls) == 1
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_refer_without_refer_to_is_400_rfc3515_2_4_2(edge: Edge) -> None:
    await edge.connects()
    assert (await edge.agent.requests("REFER")).status == 400
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize("wait_s", [0.0, 0.0005, 0.001, 0.0015])
async def test_a_refer_that_crosses_the_end_of_the_call_gets_202_or_481(edge: Edge, wait_s: float) -> None:
    await edge.connects()
    refer = asyncio.ensure_future(edge.agent.refers(f"tel:{PHONE_NUMBER}"))
    bye = asyncio.ensure_future(edge.carrier.hangs_up())
    await edge.time_passes(wait_s)
    edge.screening.decides(Decline("spam"))
    assert (await refer).status in (202, 481)
    assert (await bye).status in (200, 481)
    await edge.over()
    await edge.assert_clean()


@pytest.mark.parametrize("wait_s", [0.0, 0.0005, 0.001, 0.0015])
async def test_a_verdict_at_the_moment_of_a_refused_refer_still_connects(edge: Edge, wait_s: float) -> None:
    await edge.connects()
    asyncio.get_running_loop().call_later(wait_s, edge.screening.decides, Connect("a friend"))
    assert (await edge.agent.refers("tel:+19005550100")).status == 403
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
    await edge.assert_clean()


@pytest.mark.parametrize("status", [486, 603])
async def test_a_refer_for_a_decision_that_already_failed_does_not_ring_the_phone_again(
    edge: Edge, status: int
) -> None:
    await edge.connects()
    friend = edge.screening.decided = Connect("refer_patience_s is over")
    edge.screening.decides(friend)
    await edge.phone.rejects(status)
    await edge.time_passes(1)
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=status)
    await edge.phone.receives_nothing(for_s=3)
    assert len(edge.phone.calls) == 1
    urgent = edge.screening.decided = Connect("it is urgent")
    edge.screening.decides(urgent)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
    assert "refer too late: the phone was tried for it already" in record.steps
    await edge.assert_clean()


async def test_a_refer_for_a_new_decision_rings_the_phone_that_was_busy_before(edge: Edge) -> None:
    await edge.connects()
    friend = edge.screening.decided = Connect("refer_patience_s is over")
    edge.screening.decides(friend)
    await edge.phone.rejects(486)
    await edge.time_passes(1)
    edge.screening.decided = Connect("refer_patience_s is over")  # the same words, but a new decision
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()
