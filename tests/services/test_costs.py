"""From the settings to the caps and prices of each number."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event

from proxy.commands import costs as costing
from proxy.services import costs, policy_setup
from screening.contract import Ask, Caller, Undecided
from screening.costs.caps import Amount, Cap
from screening.costs.ledger import PastCall
from screening.costs.prices import PUBLISHED, Price
from screening.costs.totals import total_since
from screening.memory.database import Database
from screening.memory.store import Memory
from tests.screening.memory.records import finish
from tests.services.two_numbers import AT, GERMAN, US, parse_settings


def test_each_number_has_its_own_or_the_common_caps_and_time_zone(tmp_path: Path) -> None:
    settings = parse_settings(
        tmp_path,
        "[costs]\ncall_minutes = 2\nnumber_money = 5\nday_tokens = 9"
        "\n[screening]\ntime_zone = 'Europe/Berlin'",
        "costs = { number_money = 1 }\ntime_zone = 'America/New_York'",
    )
    found = costs.budgets(settings)
    assert found.of_number[US].number == Cap(money=Decimal(1))
    assert found.of_number[US].zone == ZoneInfo("America/New_York")
    assert found.of_number[GERMAN].number == Cap(money=Decimal(5))
    assert found.of_number[GERMAN].call == Cap(minutes=2.0)
    assert found.all_numbers.number == Cap(tokens=9)
    assert found.all_numbers.zone == ZoneInfo("Europe/Berlin")


def test_prices_of_the_settings_override_the_published_ones(tmp_path: Path) -> None:
    settings = parse_settings(
        tmp_path, '[costs.prices."gpt-live-1"]\nminute = 0.04\n[costs.prices.local]\nminute = 1'
    )
    found = costs.prices(settings)
    assert found.of("gpt-live-1") == Price(minute=Decimal("0.04"))
    assert found.of("local") == Price(minute=Decimal(1))
    assert found.of("gpt-realtime-mini") == PUBLISHED["gpt-realtime-mini"]


def test_a_money_cap_without_a_price_gives_a_warning(tmp_path: Path) -> None:
    assert list(policy_setup.remarks(parse_settings(tmp_path, "[costs]\nday_minutes = 1"))) == []
    assert list(policy_setup.remarks(parse_settings(tmp_path, "", "costs = { call_money = 1 }"))) == [
        'costs: money is capped for +14155551234, but "local" has no price: write [costs.prices."local"]'
    ]
    assert (
        list(
            policy_setup.remarks(parse_settings(tmp_path, "[costs]\nday_money = 1\nprices.local.minute = 1"))
        )
        == []
    )


async def test_a_caller_is_not_screened_once_the_budget_is_spent(tmp_path: Path) -> None:
    settings = parse_settings(tmp_path, "[costs]\nday_minutes = 10")
    screener = policy_setup.screener(settings, lambda: AT)
    caller = Caller("c", "+13475550148", None, US, "local", AT)
    async with screener:
        plan = await screener.plan(caller)
        assert isinstance(plan, Ask)
        plan.screening.over("declined")
        screener.accounts.restore([PastCall(GERMAN, None, AT, Amount(minutes=10))])
        assert await screener.plan(caller) == Undecided("the budget for today is spent: 10 of 10 minutes")


# What was spent before the start.


def memory_with_calls(
    folder: Path, *told: tuple[str, str | None, datetime, float, int, float | None]
) -> Memory:
    """A started memory on disk with these calls: dialed, caller, when, minutes, tokens, money."""
    memory = Memory(Database(f"sqlite:///{folder}/calls.db"), process="p")
    memory.start()
    for n, (dialed, caller, at, minutes, tokens, money) in enumerate(told):
        cost = {"minutes": minutes, "tokens": tokens, "money": money}
        call: dict[str, object] = {
            "call": f"c{n}",
            "dialed": dialed,
            "caller": caller,
            "began": at.isoformat(),
        }
        outcome = {"result": "bridged", "reason": "r"}
        finish(memory, {**call, "cost": cost, "outcome": outcome, "transcript": []})
    finish(memory, {"call": "free", "dialed": US, "began": AT.isoformat(), "cost": None, "transcript": []})
    return memory


CALLS = (
    (US, "+13475550148", AT - timedelta(hours=1), 1.5, 1000, 0.25),
    (GERMAN, None, AT - timedelta(hours=2), 2.0, 500, None),
    (US, "+13475550148", AT - timedelta(days=1), 4.0, 9000, 1.0),
    (US, "+13475550148", AT - timedelta(days=40), 4.0, 9000, 1.0),
)


async def test_costs_of_today_are_restored_after_a_restart(tmp_path: Path) -> None:
    settings = parse_settings(tmp_path, "[costs]\nday_minutes = 3.5", "costs = { caller_tokens = 900 }")
    screener = policy_setup.screener(settings, lambda: AT)
    memory = memory_with_calls(tmp_path, *CALLS)
    try:
        await memory.ask(lambda connection: None)
        await costs.restore(settings, screener.accounts, memory, AT)
    finally:
        await asyncio.to_thread(memory.close)
    told = {dialed: spent for dialed, spent, _ in screener.accounts.ledger.today()}
    assert told[None] == Amount(3.5, 1500, Decimal("0.25"))
    assert told[US] == Amount(1.5, 1000, Decimal("0.25"))
    async with screener:
        plan = await screener.plan(Caller("c", "+13475550148", None, US, "local", AT))
    assert plan == Undecided("the budget for today is spent: 3.5 of 3.5 minutes")


@pytest.mark.parametrize("behind", [timedelta(hours=3), timedelta(days=1), timedelta(days=20000)])
async def test_costs_of_today_are_restored_although_the_clock_is_behind_at_startup(
    tmp_path: Path, behind: timedelta
) -> None:
    """So starts a machine without a battery after a power cut, until it hears of the time."""
    settings = parse_settings(tmp_path, "[costs]\nday_minutes = 3.5")
    clock = [AT - behind]
    screener = policy_setup.screener(settings, lambda: clock[0])
    memory = memory_with_calls(tmp_path, *CALLS)
    try:
        await memory.ask(lambda connection: None)
        memory.process = "started after the power cut"
        await costs.restore(settings, screener.accounts, memory, clock[0])
    finally:
        await asyncio.to_thread(memory.close)
    clock[0] = AT
    async with screener:
        for _ in range(2):
            plan = await screener.plan(Caller("c", "+13475550148", None, US, "local", AT))
            assert plan == Undecided("the budget for today is spent: 3.5 of 3.5 minutes")
    assert screener.accounts.ledger.today()[0] == (None, Amount(3.5, 1500, Decimal("0.25")), Amount())


async def test_without_a_database_costs_start_at_zero_with_one_log_line_if_capped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capped, free = parse_settings(tmp_path, "[costs]\nday_minutes = 3"), parse_settings(tmp_path)
    for settings in (free, capped):
        accounts = policy_setup.screener(settings, lambda: AT).accounts
        await costs.restore(settings, accounts, None, AT)
    assert capsys.readouterr().out.count("without a database") == 1
    closed = Memory(Database(f"sqlite:///{tmp_path}/calls.db"), process="p")
    assert not await costs.restore(capped, accounts, closed, AT)
    assert "is not known yet" in capsys.readouterr().out
    assert accounts.ledger.today()[0] == (None, Amount(), Amount())


@pytest.mark.parametrize(
    ("zone", "now", "counted"),
    [
        # Clocks go back from 1:00 to 0:00: the first hour of the day comes twice.
        ("Atlantic/Azores", "2026-10-25T01:30", {"2026-10-25T00:30": True, "2026-10-24T23:30": False}),
        # They go forward at midnight: the day begins at 1:00.
        ("America/Santiago", "2026-09-06T12:00", {"2026-09-06T04:01": True, "2026-09-06T03:59": False}),
        ("Asia/Kathmandu", "2026-11-22T00:00", {"2026-11-21T18:16": True, "2026-11-21T18:14": False}),
    ],
)
async def test_a_day_begins_at_local_midnight_across_clock_changes(
    tmp_path: Path, zone: str, now: str, counted: dict[str, bool]
) -> None:
    settings = parse_settings(tmp_path, f"[screening]\ntime_zone = '{zone}'")
    at = datetime.fromisoformat(f"{now}+00:00")
    for n, (began, counts) in enumerate(counted.items()):
        (folder := tmp_path / str(n)).mkdir()
        one = (US, None, datetime.fromisoformat(f"{began}+00:00"), 2.0, 500, None)
        memory = memory_with_calls(folder, one)
        try:
            *_, whole = await memory.ask(lambda c: costs.spent(c, settings, at))
        finally:
            await asyncio.to_thread(memory.close)
        assert whole["today"]["minutes"] == (2.0 if counts else 0.0), began  # type: ignore[index]


def test_the_costs_command_sums_today_and_this_month_by_number(tmp_path: Path) -> None:
    memory = memory_with_calls(tmp_path, *CALLS)
    memory.close()
    settings = parse_settings(tmp_path, f'[memory]\nurl = "sqlite:///{tmp_path}/calls.db"')
    assert list(costing.lines(costing.spent(settings, AT))) == [
        "USD            today                                     this month",
        "                    calls   minutes    tokens     money       calls   minutes    tokens     money",
        "+14155551234            1       1.5      1000      0.25           2       5.5     10000      1.25",
        "+493012345678           1       2.0       500      0.00           1       2.0       500      0.00",
        "all numbers             2       3.5      1500      0.25           3       7.5     10500      1.25",
    ]


async def test_costs_are_summed_from_an_index_without_reading_the_calls(tmp_path: Path) -> None:
    statements: list[str] = []
    memory = memory_with_calls(tmp_path, *CALLS)

    def plan(connection: Connection) -> str:
        event.listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2]))
        total_since(connection, AT, US)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statements[0]}", (AT.isoformat(), US))
        return str(plan.all()[0][-1])

    try:
        assert "USING COVERING INDEX calls_by_cost" in await memory.ask(plan)
    finally:
        await asyncio.to_thread(memory.close)
