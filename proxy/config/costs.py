"""Prices and spending limits of agents: ``[costs]``, and the limits that a ``[[number]]`` may override."""

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
    """Return a validator for an amount, kept as a Decimal exactly as written."""

    def check(value: object) -> Decimal:
        if not _is_number(value):
            raise fault(f"{what}, 0 or more", shown(value))
        return Decimal(str(value))

    return check


def minutes(value: object) -> float:
    """Validate a number of minutes."""
    if not _is_number(value):
        raise fault("minutes, 0 or more", shown(value))
    return float(str(value))


def money_word(value: object) -> str:
    """Validate an ISO 4217 currency code."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise fault("a currency of three capital letters, such as USD or EUR", shown(value))
    return value


Minutes = Annotated[float, PlainValidator(minutes)]
Count = Annotated[int, PlainValidator(values.count(0, MAX))]
Money = Annotated[Decimal, PlainValidator(amount("an amount of money"))]
PriceOf = Annotated[Decimal, PlainValidator(amount("a price"))]


class Price(Table):
    """Prices of a model: per million tokens of each kind, and per minute."""

    text_in: PriceOf = Decimal(0)
    text_cached: PriceOf = Decimal(0)
    text_out: PriceOf = Decimal(0)
    audio_in: PriceOf = Decimal(0)
    audio_cached: PriceOf = Decimal(0)
    audio_out: PriceOf = Decimal(0)
    minute: PriceOf = Decimal(0)


class CostsOfNumber(Table):
    """Limits for calls to one number; None: no limit, or that of ``[costs]``."""

    call_minutes: Minutes | None = None
    call_tokens: Count | None = None
    call_money: Money | None = None
    caller_minutes: Minutes | None = None
    """Per caller and day; likewise the next two."""
    caller_tokens: Count | None = None
    caller_money: Money | None = None
    number_minutes: Minutes | None = None
    """For all calls to the number per day; likewise the next two."""
    number_tokens: Count | None = None
    number_money: Money | None = None

    def merged_with(self, common: CostsOfNumber) -> dict[str, Any]:
        """Return all nine limits, taken from `common` where not set here."""
        found = {}
        for key in CostsOfNumber.model_fields:
            own = getattr(self, key)
            found[key] = getattr(common, key) if own is None else own
        return found


class Costs(CostsOfNumber):
    """Limits that apply to every number, limits for all numbers together, and prices of models."""

    day_minutes: Minutes | None = None
    """For all calls to all numbers per day; likewise the next two."""
    day_tokens: Count | None = None
    day_money: Money | None = None
    currency: Annotated[str, PlainValidator(money_word)] = "USD"
    prices: dict[str, Price] | None = None
    """By model; the published prices of known models need not be given."""
