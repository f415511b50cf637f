from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from screening.contract import Caller, Connect, Decline, News, Undecided
from screening.costs.accounts import Accounts
from screening.costs.caps import Budget, Budgets, Cap
from screening.costs.meter import Meter
from screening.settings import AgentSettings, ScreeningSettings
from screening.sip_agent import SipScreening

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_sip_agent_is_undecided_at_the_talk_limit_counted_from_its_answer() -> None:
    screening, began = SipScreening(ScreeningSettings()), now()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(screening.verdict(), 7)  # still ringing: the talk limit is not running
    screening.tell(News.AGENT_ANSWERED)
    assert await screening.verdict() == Undecided("no decision within 90 s")
    assert now() - began == 97


async def test_the_talk_limit_applies_to_a_wait_begun_before_the_answer() -> None:
    screening, began = SipScreening(ScreeningSettings()), now()
    waiting = asyncio.create_task(screening.verdict())
    await asyncio.sleep(7)
    screening.tell(News.AGENT_ANSWERED)
    assert await asyncio.wait_for(waiting, 600) == Undecided("no decision within 90 s")
    assert now() - began == 97


async def test_a_busy_phone_extends_the_talk_limit_of_a_sip_agent() -> None:
    screening, began = SipScreening(ScreeningSettings()), now()
    screening.tell(News.AGENT_ANSWERED)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(screening.verdict(), 80)
    screening.tell(News.PHONE_BUSY)
    await screening.verdict()
    assert now() - began == 110


async def test_a_sip_agent_has_no_transcript_and_ignores_news() -> None:
    screening = SipScreening(ScreeningSettings())
    for news in (News.AGENT_ANSWERED, News.REFER_ARRIVED, News.CONNECTED, News.CALLER_LEFT):
        screening.tell(news)
    screening.over("ended")
    assert list(screening.transcript) == []
    assert screening.decided is None


async def test_the_reservation_of_a_sip_agent_is_released_when_its_call_ends() -> None:
    accounts = Accounts(lambda: AT, Budgets(all_numbers=Budget(number=Cap(minutes=2))))
    caller = Caller("c1", "+13475550148", None, "+14155551234", "bot", AT)
    bot, limits = AgentSettings("bot", provider="sip"), ScreeningSettings(talk_limit_s=90)
    meter = accounts.meter(caller, bot, limits)
    assert isinstance(meter, Meter)
    screening = SipScreening(limits, meter)
    assert isinstance(accounts.meter(caller, bot, limits), str), "another would not fit beside it"
    screening.over("the caller left while it rang")
    assert isinstance(accounts.meter(caller, bot, limits), Meter)


async def test_a_bye_from_a_sip_agent_is_a_decline_unless_already_decided() -> None:
    assert SipScreening(ScreeningSettings()).agent_left() == Decline("the agent hung up")
    assert SipScreening(ScreeningSettings()).agent_left("it died") == Undecided("it died")
    screening = SipScreening(ScreeningSettings())
    screening.tell(News.AGENT_ANSWERED)
    assert screening.overrule(Connect("the user"))
    assert screening.agent_left() == Connect("the user")


async def test_the_user_may_decide_once_while_a_sip_agent_talks() -> None:
    screening = SipScreening(ScreeningSettings())
    assert not screening.overrule(Connect("the user"))
    screening.tell(News.AGENT_ANSWERED)
    waiting = asyncio.create_task(screening.verdict())
    await asyncio.sleep(1)
    assert screening.overrule(Connect("the user"))
    assert not screening.overrule(Decline("the user"))
    assert await waiting == Connect("the user") == screening.decided
    assert not screening.overrule(Decline("the user"))
    screening.tell(News.PHONE_BUSY)
    assert screening.overrule(Decline("the user"))
    assert await screening.verdict() == Decline("the user")


async def test_a_sip_agent_takes_no_questions_of_the_user() -> None:
    screening = SipScreening(ScreeningSettings())
    screening.tell(News.AGENT_ANSWERED)
    screening.follow(print)
    assert not screening.ask("Who is it?")
