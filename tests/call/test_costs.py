"""Costs in the call record; a call beyond the budget is handled without the agent."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from proxy.call.outcome import OnFailure, Result
from screening.contract import AgentCost, Tokens, Undecided
from tests.kit.edge import Edge, NewEdge, a_number, summary

SPENT = AgentCost("openai", "gpt-realtime-2.1", 0.5, Tokens(10, 20, 30, 40, 50, 60), Decimal("0.0123"))
NO_BUDGET = "the budget for today is spent: 5 of 5 USD"


async def test_the_record_has_the_cost_of_the_agent(edge: Edge) -> None:
    edge.screening.spent = SPENT
    await edge.bridges()
    assert edge.screening.agent_is_gone
    await edge.carrier.hangs_up()
    record = await edge.over()
    cost = record.as_dict()["cost"]
    assert cost == SPENT.as_dict()
    assert (SPENT.as_dict()["tokens"], SPENT.as_dict()["money"]) == (210, 0.0123)


async def test_the_record_of_a_call_cut_by_a_shutdown_has_the_cost_too(edge: Edge) -> None:
    edge.screening.spent = SPENT
    await edge.connects()
    await asyncio.gather(edge.registry.drain(0.0), edge.carrier.receives("BYE"))
    assert edge.record.cost == SPENT
    assert summary(edge.record)[0] is Result.CUT


async def test_with_the_budget_spent_the_phone_rings_and_the_agent_is_not_called(edge: Edge) -> None:
    edge.screener.planned = Undecided(NO_BUDGET)
    await edge.carrier.invites()
    await edge.phone.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert record.plan == f"unscreened: {NO_BUDGET}"
    assert record.cost is None
    assert edge.agent.call is None
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("on_failure", "result"), [(OnFailure.VOICEMAIL, Result.VOICEMAIL), (OnFailure.REJECT, Result.REFUSED)]
)
async def test_with_the_budget_spent_on_failure_decides_voicemail_or_rejection(
    new_edge: NewEdge, on_failure: OnFailure, result: Result
) -> None:
    async with new_edge(number=a_number(on_failure=on_failure)) as edge:
        edge.screener.planned = Undecided(NO_BUDGET)
        await edge.carrier.invites()
        if result is Result.REFUSED:
            await edge.carrier.receives(480)
        else:
            await edge.carrier.receives(200)
            await edge.time_passes(8)
            await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.outcome is not None
        assert record.outcome.result is result
        await edge.assert_clean()


async def test_a_caller_who_leaves_during_the_recording_announcement_ends_the_screening(
    new_edge: NewEdge,
) -> None:
    number = a_number(record=True, announcement="This call is recorded.")
    async with new_edge(number=number) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await edge.over()
        assert edge.screening.outcomes == ["caller left"]
