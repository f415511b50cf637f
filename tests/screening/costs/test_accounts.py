"""The budget of a call: counted while it lasts, and ending it when spent. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from screening.contract import Caller, Connect, News, Tokens, Undecided
from screening.costs.accounts import Accounts
from screening.costs.caps import Amount, Budget, Budgets, Cap
from screening.costs.meter import Meter
from screening.provider import UsageReported
from screening.realtime_screening import RealtimeScreening
from screening.settings import AgentSettings, ScreeningSettings
from screening.sip_agent import SipScreening
from tests.screening.scripted import ScriptedVendor

DIALED = "+14155551234"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AGENT = AgentSettings("openai", transfer="local")
SIP = AgentSettings("bot", provider="sip")
SPENT = "the budget of this call is spent"


class BudgetedScreening:
    """One caller being screened within a budget."""

    def __init__(self, accounts: Accounts, agent: AgentSettings = AGENT) -> None:
        self.accounts = accounts
        self.vendor = ScriptedVendor()
        limits = accounts.limited(self.caller, ScreeningSettings())
        meter = accounts.meter(self.caller, agent, limits)
        assert isinstance(meter, Meter)
        self.screening = RealtimeScreening("c", agent, limits, self.vendor, None, lambda: None, meter=meter)

    @property
    def caller(self) -> Caller:
        return Caller("c", "+13475550148", None, DIALED, "openai", START)


def accounts_with(call: Cap | None = None, day: Cap | None = None) -> Accounts:
    loop = asyncio.get_running_loop()
    began = loop.time()
    budgets = Budgets({DIALED: Budget(call=call or Cap())}, Budget(number=day or Cap()))
    return Accounts(lambda: START + timedelta(seconds=loop.time() - began), budgets)


@asynccontextmanager
async def talking(accounts: Accounts) -> AsyncIterator[BudgetedScreening]:
    talk = BudgetedScreening(accounts)
    attending = asyncio.ensure_future(talk.screening.attend("rtc_1"))
    talk.screening.tell(News.AGENT_ANSWERED)
    yield talk
    talk.screening.over("bridged")
    await attending
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_spending_the_money_cap_of_a_call_makes_the_verdict_undecided() -> None:
    async with talking(accounts_with(call=Cap(money=Decimal("0.10")))) as talk:
        talk.vendor.emits(UsageReported(Tokens(audio_out=1000)))
        verdict = asyncio.ensure_future(talk.screening.verdict())
        await asyncio.sleep(1)
        assert not verdict.done()
        talk.vendor.emits(UsageReported(Tokens(audio_out=1000)))
        assert await verdict == Undecided(SPENT)


async def test_a_decision_holds_even_if_the_budget_is_spent_at_the_same_time() -> None:
    async with talking(accounts_with(call=Cap(tokens=100))) as talk:
        talk.vendor.decides("ALLOW")
        talk.vendor.emits(UsageReported(Tokens(audio_out=1000)))
        assert isinstance(await talk.screening.verdict(), Connect)


async def test_a_minutes_cap_limits_the_talk_with_its_own_reason() -> None:
    async with talking(accounts_with(call=Cap(minutes=0.25))) as talk:
        assert await talk.screening.verdict() == Undecided(SPENT)
        assert talk.vendor.now == 15.0
        talk.screening.tell(News.PHONE_BUSY)
        assert await talk.screening.verdict() == Undecided(SPENT)
        assert talk.vendor.now == 15.0


async def test_costs_are_booked_during_the_talk_and_exact_at_the_end() -> None:
    accounts = accounts_with(day=Cap(minutes=10))
    async with talking(accounts) as talk:
        await asyncio.sleep(10)
        talk.vendor.emits(UsageReported(Tokens(text_in=100)))
        await asyncio.sleep(0.1)
        _, spent, reserved = accounts.ledger.today()[0]
        assert (round(spent.minutes, 3), spent.tokens, reserved.minutes > 1) == (0.167, 100, True)
        await asyncio.sleep(7.9)
        talk.screening.tell(News.AGENT_LEFT)
        await asyncio.sleep(60)
    _, spent, reserved = accounts.ledger.today()[0]
    assert (round(spent.minutes, 6), spent.tokens, reserved) == (0.3, 100, Amount())
    assert talk.screening.spent is not None
    assert talk.screening.spent.money == Decimal("0.0004")


async def test_a_sip_agent_is_metered_by_its_minutes_in_the_call() -> None:
    accounts = accounts_with(day=Cap(minutes=10))
    caller = replace(BudgetedScreening(accounts).caller, agent="bot")
    meter = accounts.meter(caller, SIP, ScreeningSettings())
    assert isinstance(meter, Meter)
    screening = SipScreening(ScreeningSettings(), meter)
    assert screening.spent is None
    screening.tell(News.AGENT_ANSWERED)
    await asyncio.sleep(30)
    screening.tell(News.AGENT_LEFT)
    await asyncio.sleep(30)
    screening.over("voicemail")
    spent = screening.spent
    assert spent is not None
    assert (spent.agent, spent.model, spent.minutes, spent.money) == ("bot", "bot", 0.5, None)
    assert accounts.ledger.today()[0][1].minutes == 0.5
