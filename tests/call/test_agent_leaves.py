"""The agent hangs up or never answers: the caller is put through to the phone all the same."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.lab.audio import CALLER_HZ, PHONE_HZ, RINGBACK_HZ
from screening.contract import News, Undecided
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, leg_ends, summary


async def the_phone_takes_over(edge: Edge) -> None:
    await edge.phone.answers()
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    await edge.over()
    edge.assert_never_silent()


async def test_the_agent_hangs_up_after_its_refer_and_the_caller_is_bridged(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.agent.hangs_up()
    await edge.phone.rings()
    left = edge.now
    await edge.time_passes(3)
    assert edge.caller_audio.hears(RINGBACK_HZ, since=left)
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert leg_ends(edge.record)[1] == ("agent", "the peer hung up")
    assert not edge.caller_audio.hears(RINGBACK_HZ, since=edge.time_of(edge.record.legs[2].answered) + 0.2)
    await edge.assert_clean()


async def test_the_agent_hangs_up_after_its_refer_and_a_busy_phone_leads_to_voicemail(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.agent.hangs_up()
    await edge.phone.rejects(486)
    await edge.time_passes(3)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.VOICEMAIL, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_a_refer_followed_at_once_by_bye_still_bridges_the_caller(edge: Edge) -> None:
    await edge.connects()
    flow = edge.agent.current.flow
    refer = edge.agent.current.request("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])
    flow.send(refer.encode())
    flow.send(edge.agent.current.request("BYE").encode())
    edge.agent.current.finish()
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean(faults=False)  # the responses to the requests sent by hand


async def test_the_agent_hangs_up_without_a_decision_and_the_phone_is_rung_unscreened(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.hangs_up()
    await edge.phone.rings()
    left = edge.now
    await edge.time_passes(3)
    assert edge.caller_audio.hears(RINGBACK_HZ, since=left)
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    assert "unscreened: the agent hung up" in edge.record.steps
    await edge.assert_clean()


async def test_the_agent_refuses_with_503_and_the_phone_is_rung_unscreened(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.rejects(503)
    await edge.phone.rings()
    await edge.time_passes(3)
    assert edge.caller_audio.packets_heard == 0  # not answered yet: its own network plays the ringback
    await the_phone_takes_over(edge)
    await edge.carrier.receives(200)
    record = edge.record
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert leg_ends(record)[1] == ("agent", "503 Service Unavailable")
    assert record.answered == record.legs[0].answered
    await edge.assert_clean()


@pytest.mark.parametrize("status", [302, 400, 403, 404, 408, 480, 486, 500, 603])
async def test_any_rejection_by_the_agent_rings_the_phone_within_half_a_second(
    edge: Edge, status: int
) -> None:
    await edge.carrier.invites()
    began = edge.now
    await edge.agent.rejects(status)
    await edge.phone.rings()
    assert edge.now - began < 0.5
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    assert leg_ends(edge.record)[1][1].startswith(str(status))
    assert len(edge.agent.calls) == 1
    await edge.assert_clean()


async def test_the_agents_certificate_is_refused_and_the_phone_is_rung_unscreened(edge: Edge) -> None:
    edge.wire.refuse_tls("sip.api.openai.com")
    await edge.carrier.invites()
    await the_phone_takes_over(edge)
    record = edge.record
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert "certificate not trusted" in leg_ends(record)[1][1]
    await edge.assert_clean()


async def test_an_agent_that_does_not_answer_within_8_s_is_cancelled_and_the_phone_rung(edge: Edge) -> None:
    began = edge.now
    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    await edge.agent.receives("CANCEL")
    assert edge.now - began == pytest.approx(8, abs=0.1)
    await the_phone_takes_over(edge)
    record = edge.record
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert leg_ends(record)[1] == ("agent", "no answer in time")
    assert News.AGENT_ANSWERED not in edge.screening.news
    await edge.assert_clean()


async def test_a_200_of_the_agent_that_crosses_our_cancel_gets_a_bye_rfc3261_15(edge: Edge) -> None:
    edge.wire.delay_s = 0.1
    began = edge.now
    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    await edge.time_passes(
        began + 8.1 - edge.now
    )  # the accept timeout ends 8 s after the INVITE reached the edge
    await edge.agent.answers()
    await edge.agent.receives("CANCEL")
    await edge.agent.receives("BYE")
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()


@pytest.mark.parametrize("ticks", range(4))
async def test_a_screening_failure_at_the_moment_the_agent_answers_rings_the_phone_unscreened(
    edge: Edge, ticks: int
) -> None:
    edge.wire.delay_s, loop = 0.1, asyncio.get_running_loop()

    def fails(after: int) -> None:
        if after:
            loop.call_soon(fails, after - 1)
        else:
            edge.screening.decides(Undecided("the accept failed"))

    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    loop.call_at(loop.time() + edge.wire.delay_s, fails, ticks)
    await edge.agent.answers()
    await edge.phone.rings()
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    assert "unscreened: the accept failed" in edge.record.steps
    await edge.assert_clean()


async def test_an_agent_whose_sdp_answer_is_unusable_gets_a_bye_and_the_phone_is_rung(edge: Edge) -> None:
    await edge.carrier.invites()
    call = await edge.agent.invited()
    edge.agent.responds(call.invite, 200, sdp=b"v=0\r\no=- 1 1 IN IP4 192.0.2.112\r\ns=-\r\nt=0 0\r\n")
    await edge.agent.receives("BYE")
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()


async def test_an_unreachable_agent_is_given_up_and_the_phone_is_rung(edge: Edge) -> None:
    edge.wire.silence("192.0.2.112")
    await edge.carrier.invites()
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()


async def test_a_rejection_by_the_agent_leads_to_voicemail_if_on_failure_is_voicemail(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.VOICEMAIL)) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(503)
        await edge.carrier.receives(200)
        await edge.time_passes(3)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, None, None, "caller")
        assert len(edge.phone.calls) == 0
        await edge.assert_clean()


async def test_an_agent_that_answers_and_hangs_up_at_once_leads_to_an_unscreened_ring(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.answers()
    await edge.agent.hangs_up()
    await the_phone_takes_over(edge)
    assert summary(edge.record) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()
