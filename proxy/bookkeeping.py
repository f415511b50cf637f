"""What the settings say of costs, in the words of the screening; and what calls of before have cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo

from proxy.config import Settings
from proxy.config.costs import CostsOfNumber
from proxy.config.model import Number
from screening.costs.books import Books
from screening.costs.caps import Budget, Budgets, Cap
from screening.costs.prices import Price, Prices
from screening.settings import SIP_AGENT


def books(settings: Settings, wall_clock: Callable[[], datetime]) -> Books:
    """Prices, caps and the ledger of the day."""
    return Books(wall_clock, budgets(settings), prices(settings))


def prices(settings: Settings) -> Prices:
    """Those of the file before those published."""
    own = {name: Price(**dict(price)) for name, price in (settings.costs.prices or {}).items()}
    return Prices(own, settings.costs.currency)


def budgets(settings: Settings) -> Budgets:
    """The caps of each number, and those over all of them."""
    costs = settings.costs
    day = Cap(costs.day_minutes, costs.day_tokens, costs.day_money)
    everywhere = Budget(number=day, zone=settings.screening.time_zone or UTC)
    return Budgets(
        {each.dialed: _budget(settings, each) for each in settings.numbers}, everywhere, costs.currency
    )


def zone_of(settings: Settings, number: Number) -> tzinfo:
    """Where the days of a number begin and end."""
    return settings.screening_of(number).time_zone or UTC


def remarks(settings: Settings) -> Iterator[str]:
    """Money that is capped, and would never be counted."""
    known = prices(settings)
    for number in settings.numbers:
        agent = settings.agent_of(number)
        if agent is None or not _money_is_capped(settings, number):
            continue
        model = agent.name if agent.provider == SIP_AGENT else agent.model
        if known.find(model) is None:
            where = f'[costs.prices."{model}"]'
            yield f'costs: money is capped for {number.dialed}, but "{model}" has no price: write {where}'


def _money_is_capped(settings: Settings, number: Number) -> bool:
    caps = {**dict(settings.costs), **(number.costs or CostsOfNumber()).laid_over(settings.costs)}
    return any(caps[f"{which}_money"] is not None for which in ("call", "caller", "number", "day"))


def _budget(settings: Settings, number: Number) -> Budget:
    told = (number.costs or CostsOfNumber()).laid_over(settings.costs)

    def cap(which: str) -> Cap:
        return Cap(told[f"{which}_minutes"], told[f"{which}_tokens"], told[f"{which}_money"])

    return Budget(cap("call"), cap("caller"), cap("number"), zone_of(settings, number))
