"""A backup agent: it is called if the agent before it does not take the call (setting `backup`)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.agents import AgentOrder
from proxy.call.outcome import OnFailure, Result
from proxy.call.routing import Agent, Number
from proxy.lab.audio import AGENT_HZ
from proxy.media.speech import RECORDED
from screening.contract import Ask, News, Undecided
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, ScriptedScreening, a_number, leg_ends, summary

FIRST = Agent("first", "sip:proj_1@sip.api.openai.com:5061;transport=tls")
SECOND = Agent("second", "sip:proj_2@sip.api.openai.com:5061;transport=tls")
NOWHERE = Agent("nowhere", "sip:proj_0@nowhere.example.com:5061;transport=tls")
REFUSALS = [302, 400, 403, 404, 408, 480, 486, 500, 503, 603]


def a_number_with(*agents: Agent, on_failure: OnFailure = OnFailure.RING) -> Number:
    return a_number(agent=agents[0], backups=agents[1:], on_failure=on_failure)


def two_screenings(edge: Edge) -> tuple[ScriptedScreening, ScriptedScreening]:
    """Have each of two agents screen by a screening of its own."""
    first, second = ScriptedScreening(), ScriptedScreening()
    edge.screener.planned = Ask(first, {"X-Screendoor-Token": "t0ken1"}, patience_s=8.0)
    edge.screener.backup = Ask(second, {"X-Screendoor-Token": "t0ken2"}, patience_s=8.0)
    return first, second


async def bridges(edge: Edge) -> None:
    """The agent that was called last answers, and connects the caller with the phone."""
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1.0)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1.0)
    await edge.carrier.hangs_up()
    await edge.over()


async def calls_again(edge: Edge) -> str:
    """Another caller calls; returns the user part of the agent that is called first."""
    calls, records = len(edge.agent.calls), len(edge.records)
    await edge.carrier.invites()
    await edge.time_passes(1.0)
    call = list(edge.agent.calls.values())[calls]
    assert call.invite is not None
    await edge.carrier.cancels()
    await edge.over(records + 1)
    return call.invite.uri.split("@")[0]


@pytest.mark.parametrize("mode", ["relay", "direct"], indirect=True)
@pytest.mark.parametrize("status", REFUSALS)
async def test_an_agent_that_refuses_in_any_way_is_followed_by_its_backup(
    new_edge: NewEdge, status: int
) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        first, second = two_screenings(edge)
        await edge.carrier.invites()
        began = edge.now
        await edge.agent.rejects(status)
        await bridges(edge)
        assert edge.now - began < 6.0
        assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        users = [call.invite.uri.split("@")[0] for call in edge.agent.calls.values() if call.invite]
        assert users == ["sip:proj_1", "sip:proj_2"]
        tokens = [call.invite.headers.get("X-Screendoor-Token") for call in edge.agent.calls.values()]
        assert tokens == ["t0ken1", "t0ken2"]
        assert edge.screener.asked_of == ["second"]
        assert first.outcomes == ["another agent is called"]
        assert second.outcomes == [Result.BRIDGED.text]
        assert News.AGENT_ANSWERED not in first.news
        assert [name for name, _ in leg_ends(edge.record)] == ["caller", "agent", "agent", "phone"]
        assert any(step.startswith("backup agent called: the agent did") for step in edge.record.steps)
        await edge.assert_clean()


async def test_an_agent_that_cannot_be_reached_is_followed_by_its_backup(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(NOWHERE, SECOND)) as edge:
        two_screenings(edge)
        await edge.carrier.invites()
        await bridges(edge)
        assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_an_agent_that_does_not_answer_is_cancelled_and_followed_by_its_backup(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        two_screenings(edge)
        began = edge.now
        await edge.carrier.invites()
        await edge.agent.receives("INVITE")
        await edge.agent.receives("CANCEL")
        assert edge.now - began == pytest.approx(8.0, abs=0.1)
        await bridges(edge)
        assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_an_agent_that_answers_too_late_is_hung_up_beside_its_backup_rfc3261_15(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        first, _ = two_screenings(edge)
        edge.wire.delay_s = 0.1
        began = edge.now
        await edge.carrier.invites()
        await edge.agent.receives("INVITE")
        await edge.time_passes(began + 8.1 - edge.now)  # our patience ends while the 200 is on its way
        await edge.agent.answers()
        await edge.agent.receives("CANCEL")
        await edge.agent.receives("BYE")
        await bridges(edge)
        assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert News.AGENT_ANSWERED not in first.news
        await edge.assert_clean()


async def test_an_agent_whose_screening_cannot_begin_is_followed_by_its_backup(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        first, _ = two_screenings(edge)
        await edge.carrier.invites()
        await edge.agent.receives("INVITE")
        first.decides(Undecided("accept: OpenAI answered 429: the account's credit is used up"))
        await edge.agent.receives("CANCEL")
        await bridges(edge)
        assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_if_no_agent_takes_the_call_the_phone_rings_unscreened(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(NOWHERE, FIRST, SECOND)) as edge:
        two_screenings(edge)
        edge.screener.backup = None
        await edge.carrier.invites()
        await edge.agent.rejects(400)
        await edge.agent.rejects(503)
        await edge.phone.rings()
        await edge.phone.answers()
        await edge.time_passes(1.0)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
        assert "unscreened: the agent did not take the call: 503 Service Unavailable" in record.steps
        assert edge.screener.asked_of == ["first", "second"]
        await edge.assert_clean()


async def test_without_budget_for_the_backup_the_failure_of_the_first_agent_counts(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND, on_failure=OnFailure.REJECT)) as edge:
        two_screenings(edge)
        edge.screener.backup = Undecided("the budget for today is spent: 5 of 5 USD")
        await edge.carrier.invites()
        await edge.agent.rejects(400)
        await edge.carrier.receives(480)
        record = await edge.over()
        assert "unscreened: the agent did not take the call: 400 Bad Request" in record.steps
        assert len(edge.agent.calls) == 1
        await edge.assert_clean()


async def test_a_caller_who_was_told_of_the_recording_hears_ringback_until_the_backup_answers(
    new_edge: NewEdge,
) -> None:
    number = replace(a_number_with(FIRST, SECOND), record=True, announcement=RECORDED)
    async with new_edge(number=number) as edge:
        two_screenings(edge)
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.agent.invited()
        await edge.time_passes(3.0)
        await edge.agent.rejects(500)
        await edge.agent.invited()
        await edge.time_passes(3.0)
        await edge.agent.answers()
        await edge.time_passes(1.0)
        assert edge.caller_audio.hears(AGENT_HZ)
        await edge.carrier.hangs_up()
        await edge.over()
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_caller_who_leaves_meanwhile_reaches_no_backup(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        first, _ = two_screenings(edge)
        await edge.carrier.invites()
        await edge.agent.receives("INVITE")
        await edge.carrier.cancels()
        await edge.agent.receives("CANCEL")
        await edge.over()
        assert edge.screener.asked_of == []
        assert first.outcomes == [Result.CALLER_LEFT.text]
        assert await calls_again(edge) == "sip:proj_1"
        await edge.assert_clean(calls=2)


async def test_an_agent_that_fails_its_probes_is_left_out_if_there_is_another(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        two_screenings(edge)
        edge.down.add("agent:first")
        assert await calls_again(edge) == "sip:proj_2"
        assert [caller.agent for caller in edge.screener.callers] == ["second"]
        assert edge.screener.asked_of == []
        await edge.assert_clean()


async def test_if_all_agents_fail_their_probes_the_phone_rings_at_once(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        two_screenings(edge)
        edge.down |= {"agent:first", "agent:second"}
        await edge.carrier.invites()
        await edge.phone.rings()
        assert edge.agent.calls == {}
        await edge.carrier.cancels()
        await edge.over()
        await edge.assert_clean()


async def test_the_next_caller_does_not_wait_for_an_agent_that_failed_until_it_may_be_back(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number_with(FIRST, SECOND)) as edge:
        two_screenings(edge)
        await edge.carrier.invites()
        await edge.agent.rejects(400)
        await bridges(edge)
        assert await calls_again(edge) == "sip:proj_2"
        await edge.time_passes(30.0)
        assert await calls_again(edge) == "sip:proj_1"
        await edge.assert_clean(calls=3)


def test_an_agent_that_fails_again_and_again_comes_last_for_longer_and_longer() -> None:
    now = 0.0
    order = AgentOrder(lambda: now)

    def is_first() -> bool:
        return order.of([FIRST, SECOND], lambda name: False)[0] is FIRST

    for lasting in (30.0, 60.0, 120.0, 240.0, 300.0, 300.0):
        order.failed(FIRST)
        order.failed(FIRST)  # of another call at the same time
        now += lasting - 0.1
        assert not is_first()
        now += 0.1
        assert is_first()
    order.failed(FIRST)
    order.answered(FIRST)
    assert is_first()


def test_of_agents_that_all_failed_the_one_that_is_back_first_is_called_first() -> None:
    now = 0.0
    order = AgentOrder(lambda: now)
    order.failed(FIRST)
    now = 29.0
    order.failed(SECOND)
    assert order.of([SECOND, FIRST], lambda name: False) == [FIRST, SECOND]
