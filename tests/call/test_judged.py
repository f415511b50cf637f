"""Calls decided by the real screener: a spent budget, the key-press challenge, and a verified number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from proxy.call import user_commands
from proxy.call.outcome import OnFailure, Result
from proxy.call.user_commands import NotPossible, State
from screening.contract import Caller, Message, Plan, TakeMessage, Undecided
from screening.costs.accounts import Accounts
from screening.costs.caps import Budget, Budgets, Cap
from screening.notices.notice import Event, call_notices
from screening.policy import Policy
from screening.screener import Screener
from screening.settings import AgentSettings
from screening.stir.verifier import Verifier
from tests.call.test_challenge import key
from tests.call.test_whisper import Voice
from tests.kit.edge import Edge, NewEdge, a_number, summary
from tests.screening.pki import identity, shaken, token
from tests.screening.stir.test_certificates import HERE, Server

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SPENT = Budgets(all_numbers=Budget(number=Cap(minutes=0.0)))
UNSCREENED = "unscreened: the budget for today is spent: 0 of 0 minutes"


@asynccontextmanager
async def judged(
    edge: Edge, *, gate: bool = False, budgets: Budgets | None = None, verifier: Verifier | None = None
) -> AsyncIterator[list[Caller]]:
    """Let a real screener decide on this edge's calls; yields the callers it was asked about."""
    asked: list[Caller] = []
    async with Screener(
        [AgentSettings("openai", provider="sip")],
        wall_clock=lambda: NOW,
        token_bytes=lambda size: b"k" * size,
        policies={"*": Policy(gate=gate)},
        accounts=Accounts(lambda: NOW, budgets),
        verifier=verifier,
    ) as screener:

        async def plan(caller: Caller) -> Plan:
            asked.append(caller)
            return await screener.plan(caller)

        edge.screener.plan = plan  # type: ignore[method-assign]
        edge.screener.planned = Undecided("the screening is none of the edge's own")
        yield asked


async def hears_the_key(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.carrier.receives(200)
    await edge.time_passes(1)


@pytest.mark.parametrize("gate", [False, True])
async def test_with_the_budget_spent_a_caller_who_passes_the_challenge_rings_the_phone(
    new_edge: NewEdge, gate: bool
) -> None:
    number = a_number(on_failure=OnFailure.CHALLENGE)
    async with new_edge(number=number, speech=(voice := Voice())) as edge:
        async with judged(edge, gate=gate, budgets=SPENT):
            await hears_the_key(edge)
            edge.carrier.presses(key(voice))
            await edge.phone.answers()
            await edge.time_passes(1)
            await edge.carrier.hangs_up()
            record = await edge.over()
        assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
        assert (record.plan, record.cost, edge.agent.calls) == (UNSCREENED, None, {})
        assert [step for step in record.steps if step.startswith("challenge passed")] != []
        assert len([step for step in record.steps if step.startswith("challenged")]) == 1
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_caller_who_passes_the_challenge_is_verified_only_once(new_edge: NewEdge) -> None:
    server = Server()
    server.now = NOW
    claims = {"iat": int(NOW.timestamp()), "orig": {"tn": "13475550148"}}
    signed = identity(token(HERE.carrier, shaken(**claims)))
    async with new_edge(speech=(voice := Voice())) as edge:
        verifier = Verifier(server.certificates(), lambda: server.now, 1.0)
        async with judged(edge, gate=True, verifier=verifier) as asked:
            with capture_logs() as logs:
                await edge.carrier.invites(headers=[("Identity", signed)])
                await edge.carrier.receives(200)
                await edge.time_passes(1)
                edge.carrier.presses(key(voice))
                await edge.agent.answers()
                await edge.time_passes(1)
                await edge.carrier.hangs_up()
                record = await edge.over()
        assert record.verification is not None
        assert record.verification.source == "identity"
        assert [(each.challenged, each.signed is None) for each in asked] == [(False, False), (True, True)]
        assert asked[1].verification == record.verification
        assert len([line for line in logs if line["event"] == "verified"]) == 1
        await edge.assert_clean()


async def test_user_commands_are_refused_while_the_caller_is_challenged(new_edge: NewEdge) -> None:
    async with new_edge(speech=Voice()) as edge, judged(edge, gate=True):
        await hears_the_key(edge)
        [call] = edge.registry.going_on()
        assert user_commands.state_of(call) is State.CHALLENGED
        for wish in (user_commands.connect, user_commands.reject, user_commands.voicemail):
            with pytest.raises(NotPossible, match="the caller is to press a key first"):
                wish(call, "me")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.CALLER_LEFT
        told = call_notices(record.as_dict(), with_transcript=True)
        assert [notice.event for notice in told] == [Event.SCREENED, Event.MISSED]
        assert {notice.data["stage"] for notice in told} == {"challenge"}
        await edge.assert_clean()


async def test_a_challenged_caller_who_is_bridged_gives_one_screened_notice(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge, judged(edge, gate=True, budgets=SPENT):
        await hears_the_key(edge)
        edge.carrier.presses(key(voice))
        await edge.phone.answers()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [each.event for each in call_notices(record.as_dict(), with_transcript=False)] == [
            Event.SCREENED
        ]
        await edge.assert_clean()


async def test_a_message_taken_by_the_agent_is_notified_with_its_text(edge: Edge) -> None:
    await edge.connects()
    message = Message("The cake is ready.", "Bob", "415 555 0199", urgent=True)
    edge.screening.decides(TakeMessage("Bob, about a cake", "Bob", message))
    await edge.carrier.receives("BYE")
    record = await edge.over()
    told = call_notices(record.as_dict(), with_transcript=False)
    assert [notice.event for notice in told] == [Event.SCREENED, Event.VOICEMAIL]
    text = "Urgent: The cake is ready. Call back: 415 555 0199"
    assert [notice.data["message"] for notice in told] == [text, text]
    assert record.voicemail is None
    await edge.assert_clean()
