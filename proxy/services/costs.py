"""Builds prices, caps and accounts from the settings; restores and reports past costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import structlog

from proxy.config import Settings
from proxy.config.costs import CostsOfNumber
from proxy.config.model import Number
from screening.costs.accounts import Accounts
from screening.costs.caps import Budget, Budgets, Cap
from screening.costs.prices import Price, Prices
from screening.settings import SIP_AGENT

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from screening.memory.store import Memory

log = structlog.get_logger("screendoor")

RESTORE_TIMEOUT_S = 10.0
"""How long restoring waits for the memory."""


def accounts(settings: Settings, wall_clock: Callable[[], datetime]) -> Accounts:
    """Prices, caps and the daily ledger."""
    return Accounts(wall_clock, budgets(settings), prices(settings))


def prices(settings: Settings) -> Prices:
    """Prices of the settings, then the published ones."""
    own = {name: Price(**dict(price)) for name, price in (settings.costs.prices or {}).items()}
    return Prices(own, settings.costs.currency)


def budgets(settings: Settings) -> Budgets:
    """The caps of each number, and those of all numbers together."""
    costs = settings.costs
    day = Cap(costs.day_minutes, costs.day_tokens, costs.day_money)
    everywhere = Budget(number=day, zone=settings.screening.time_zone or UTC)
    return Budgets(
        {each.dialed: _budget(settings, each) for each in settings.numbers}, everywhere, costs.currency
    )


def zone_of(settings: Settings, number: Number) -> tzinfo:
    """The time zone that a number's days are counted in."""
    return settings.screening_of(number).time_zone or UTC


def remarks(settings: Settings) -> Iterator[str]:
    """Warnings about money caps that have no effect because a model has no price."""
    known = prices(settings)
    for number in settings.numbers:
        if not _money_is_capped(settings, number):
            continue
        for agent in settings.agents_of(number):
            model = agent.name if agent.provider == SIP_AGENT else agent.model
            if known.find(model) is None:
                where = f'[costs.prices."{model}"]'
                yield f'costs: money is capped for {number.dialed}, but "{model}" has no price: write {where}'


def _money_is_capped(settings: Settings, number: Number) -> bool:
    caps = {**dict(settings.costs), **(number.costs or CostsOfNumber()).merged_with(settings.costs)}
    return any(caps[f"{which}_money"] is not None for which in ("call", "caller", "number", "day"))


def _budget(settings: Settings, number: Number) -> Budget:
    caps = (number.costs or CostsOfNumber()).merged_with(settings.costs)

    def cap(which: str) -> Cap:
        return Cap(caps[f"{which}_minutes"], caps[f"{which}_tokens"], caps[f"{which}_money"])

    return Budget(cap("call"), cap("caller"), cap("number"), zone_of(settings, number))


async def restore(
    settings: Settings, accounts: Accounts, memory: Memory | None, now: datetime, again: bool = False
) -> bool:
    """Add costs from before this start to the ledger, if there are caps.

    `now` is when we started. Returns False if the database is unavailable; the warning is logged unless
    `again`.
    """
    if not any_cap(settings):
        return True
    if memory is None:
        log.warning("costs: without a database, what was spent today before this start is not known")
        return True
    from screening.costs.totals import past_calls
    from screening.memory.errors import Unavailable

    try:
        async with asyncio.timeout(RESTORE_TIMEOUT_S):
            since = now - timedelta(days=2)
            calls = await memory.ask(
                lambda connection: list(past_calls(connection, since, now, memory.process))
            )
    except (Unavailable, TimeoutError) as error:
        why = str(error) or f"it took longer than {RESTORE_TIMEOUT_S:g} s"
        if not again:
            log.warning("costs: what was spent today before this start is not known yet", why=why)
        return False
    accounts.restore(calls)
    log.info("costs of today known", calls=len(calls))
    return True


def any_cap(settings: Settings) -> bool:
    """Whether any cap is set."""
    found = budgets(settings)
    each = [found.all_numbers, *found.of_number.values()]
    return any(cap.is_set for budget in each for cap in (budget.call, budget.caller, budget.number))


def spent(connection: Connection, settings: Settings, now: datetime) -> list[dict[str, object]]:
    """Costs of today and this month by number, then in total (`dialed` None); also used by the API.

    Runs in the memory's thread (`Memory.ask`), or on a connection of the caller's.
    """
    from screening.costs.totals import total_since

    found: list[dict[str, object]] = []
    zones: list[tuple[str | None, tzinfo]] = [
        (each.dialed, zone_of(settings, each)) for each in settings.numbers
    ]
    for dialed, zone in [*zones, (None, settings.screening.time_zone or UTC)]:
        day = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        today, month = (total_since(connection, since, dialed) for since in (day, day.replace(day=1)))
        row: dict[str, object] = {"dialed": dialed, "currency": settings.costs.currency}
        found.append(row | {"today": today.as_dict(), "month": month.as_dict()})
    return found
