"""Sums of call costs from the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select

from screening.costs.caps import Amount
from screening.costs.ledger import PastCall
from screening.memory.schema import calls

MAX = 200_000
"""Maximum calls read at startup; of more in two days, the latest."""


@dataclass(frozen=True, slots=True)
class Total:
    """The total cost of several calls."""

    calls: int
    """Only those that an agent joined."""
    amount: Amount

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        amount = self.amount
        money = round(float(amount.money), 6)
        return {
            "calls": self.calls,
            "minutes": round(amount.minutes, 3),
            "tokens": amount.tokens,
            "money": money,
        }


def total_since(connection: Connection, since: datetime, dialed: str | None = None) -> Total:
    """The total of calls begun at `since` or later, to one number or to all."""
    columns = (calls.c.cost_minutes, calls.c.tokens, calls.c.cost_money)
    wanted = select(func.count(calls.c.cost_minutes), *map(func.sum, columns)).where(calls.c.began >= since)
    wanted = wanted.where(calls.c.cost_minutes.is_not(None))  # so that the index `calls_by_cost` is enough
    if dialed is not None:
        wanted = wanted.where(calls.c.dialed == dialed)
    count, *found = connection.execute(wanted).one()
    return Total(count, _amount(*found))


def past_calls(connection: Connection, since: datetime, until: datetime, process: str) -> Iterator[PastCall]:
    """Calls begun since `since` that cost something, newest first.

    Without those of this `process` since `until`, its start. Others may be later than that: if the clock was
    behind at the start.
    """
    of_call = (calls.c.dialed, calls.c.caller, calls.c.began)
    costs = (calls.c.cost_minutes, calls.c.tokens, calls.c.cost_money)
    wanted = select(*of_call, *costs).where(calls.c.began >= since)
    wanted = wanted.where((calls.c.began < until) | calls.c.process.is_distinct_from(process))
    wanted = wanted.where(calls.c.cost_minutes.is_not(None))
    for dialed, caller, began, *spent in connection.execute(wanted.order_by(calls.c.began.desc()).limit(MAX)):
        yield PastCall(dialed, caller, began, _amount(*spent))


def _amount(minutes: float | None, tokens: int | None, money: float | None) -> Amount:
    return Amount(minutes or 0.0, int(tokens or 0), Decimal(str(round(money or 0.0, 6))))
