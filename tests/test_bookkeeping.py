"""From the settings to the caps and prices of each number."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from proxy import bookkeeping, judging
from proxy.config import Settings, parse
from screening.contract import Ask, Caller, Undecided
from screening.costs.caps import Amount, Cap
from screening.costs.ledger import Past
from screening.costs.prices import PUBLISHED, Price

TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
%s
[[number]]
dialed = "+14155551234"
destinations = ["tel:+14155559876"]
%s
[[number]]
dialed = "+493012345678"
destinations = ["tel:+493012345679"]
"""
US, GERMAN = "+14155551234", "+493012345678"
AT = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


def settled(folder: Path, common: str = "", own: str = "") -> Settings:
    return parse(TEXT % (common, own), {}, file="t.toml", folder=folder)


def test_each_number_has_the_common_caps_and_its_own_and_the_day_of_its_place(tmp_path: Path) -> None:
    settings = settled(
        tmp_path,
        "[costs]\ncall_minutes = 2\nnumber_money = 5\nday_tokens = 9"
        "\n[screening]\ntime_zone = 'Europe/Berlin'",
        "costs = { number_money = 1 }\ntime_zone = 'America/New_York'",
    )
    found = bookkeeping.budgets(settings)
    assert found.of_number[US].number == Cap(money=Decimal(1))
    assert found.of_number[US].zone == ZoneInfo("America/New_York")
    assert found.of_number[GERMAN].number == Cap(money=Decimal(5))
    assert found.of_number[GERMAN].call == Cap(minutes=2.0)
    assert found.all_numbers.number == Cap(tokens=9)
    assert found.all_numbers.zone == ZoneInfo("Europe/Berlin")


def test_the_prices_of_the_file_stand_before_the_published_ones(tmp_path: Path) -> None:
    settings = settled(
        tmp_path, '[costs.prices."gpt-live-1"]\nminute = 0.04\n[costs.prices.local]\nminute = 1'
    )
    found = bookkeeping.prices(settings)
    assert found.of("gpt-live-1") == Price(minute=Decimal("0.04"))
    assert found.of("local") == Price(minute=Decimal(1))
    assert found.of("gpt-realtime-mini") == PUBLISHED["gpt-realtime-mini"]


def test_capped_money_without_a_price_is_warned_of(tmp_path: Path) -> None:
    assert list(judging.remarks(settled(tmp_path, "[costs]\nday_minutes = 1"))) == []
    assert list(judging.remarks(settled(tmp_path, "", "costs = { call_money = 1 }"))) == [
        'costs: money is capped for +14155551234, but "local" has no price: write [costs.prices."local"]'
    ]
    assert list(judging.remarks(settled(tmp_path, "[costs]\nday_money = 1\nprices.local.minute = 1"))) == []


async def test_a_caller_for_whom_there_is_no_budget_is_not_asked(tmp_path: Path) -> None:
    settings = settled(tmp_path, "[costs]\nday_minutes = 10")
    screener = judging.screener(settings, lambda: AT)
    caller = Caller("c", "+13475550148", None, US, "local", AT)
    async with screener:
        plan = await screener.plan(caller)
        assert isinstance(plan, Ask)
        plan.screening.over("declined")
        screener.books.restore([Past(GERMAN, None, AT, Amount(minutes=10))])
        assert await screener.plan(caller) == Undecided("the budget for today is spent: 10 of 10 minutes")
