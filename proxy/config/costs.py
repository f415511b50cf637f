"""What agents cost and may cost: ``[costs]``, and its keys that a ``[[number]]`` may have of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import Table
from proxy.config.problem import fault, shown

_CURRENCY = re.compile(r"[A-Z]{3}")
MAX = 1_000_000_000


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= MAX


def amount(what: str) -> Callable[[object], Decimal]:
    """Return a check for so much of something, exact to the last digit that is written."""

    def check(value: object) -> Decimal:
        if not _is_number(value):
            raise fault(f"{what}, 0 or more", shown(value))
        return Decimal(str(value))

    return check


def minutes(value: object) -> float:
    """Return a number of minutes."""
    if not _is_number(value):
        raise fault("minutes, 0 or more", shown(value))
    return float(str(value))


def money_word(value: object) -> str:
    """Return the word for a currency."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise fault("a currency of three capital letters, such as USD or EUR", shown(value))
    return value


Minutes = Annotated[float, PlainValidator(minutes)]
Count = Annotated[int, PlainValidator(values.count(0, MAX))]
Money = Annotated[Decimal, PlainValidator(amount("an amount of money"))]
PriceOf = Annotated[Decimal, PlainValidator(amount("a price"))]


class Price(Table):
    """What a model costs: for a million tokens of each kind, and for a minute."""

    text_in: PriceOf = Decimal(0)
    text_cached: PriceOf = Decimal(0)
    text_out: PriceOf = Decimal(0)
    audio_in: PriceOf = Decimal(0)
    audio_cached: PriceOf = Decimal(0)
    audio_out: PriceOf = Decimal(0)
    minute: PriceOf = Decimal(0)


class CostsOfNumber(Table):
    """The caps of the calls to one number; None for no limit, or what ``[costs]`` says."""

    call_minutes: Minutes | None = None
    call_tokens: Count | None = None
    call_money: Money | None = None
    caller_minutes: Minutes | None = None
    """Of one caller on one day. So with the next."""
    caller_tokens: Count | None = None
    caller_money: Money | None = None
    number_minutes: Minutes | None = None
    """Of all calls to the number on one day. So with the next."""
    number_tokens: Count | None = None
    number_money: Money | None = None

    def laid_over(self, common: CostsOfNumber) -> dict[str, Any]:
        """All nine, those of `common` where nothing is said here."""
        found = {}
        for key in CostsOfNumber.model_fields:
            own = getattr(self, key)
            found[key] = getattr(common, key) if own is None else own
        return found


class Costs(CostsOfNumber):
    """The caps of every number, those over all of them together, and what models cost."""

    day_minutes: Minutes | None = None
    """Of all calls to all numbers on one day. So with the next."""
    day_tokens: Count | None = None
    day_money: Money | None = None
    currency: Annotated[str, PlainValidator(money_word)] = "USD"
    prices: dict[str, Price] | None = None
    """By model; what is published for the models that are known here stands without it."""
