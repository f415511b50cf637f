"""Amounts, caps and budgets: plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal

KINDS = ("minutes", "tokens", "money")


@dataclass(frozen=True, slots=True)
class Amount:
    """Minutes, tokens and money."""

    minutes: float = 0.0
    tokens: int = 0
    money: Decimal = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.minutes + other.minutes, self.tokens + other.tokens, self.money + other.money)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.minutes - other.minutes, self.tokens - other.tokens, self.money - other.money)

    def maximum(self, other: Amount) -> Amount:
        """The larger of each kind."""
        return Amount(
            max(self.minutes, other.minutes), max(self.tokens, other.tokens), max(self.money, other.money)
        )

    def share(self, part: Decimal) -> Amount:
        """A fraction of it."""
        return Amount(self.minutes * float(part), int(self.tokens * part), self.money * part)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Cap:
    """Upper limit of each kind; None: unlimited."""

    minutes: float | None = None
    tokens: int | None = None
    money: Decimal | None = None

    def reached(self, spent: Amount) -> Iterator[tuple[str, Decimal]]:
        """Each limited kind with the share that is spent; 1 if all of it."""
        for kind in KINDS:
            if (limit := getattr(self, kind)) is not None:
                yield kind, Decimal(str(getattr(spent, kind))) / Decimal(str(limit)) if limit else Decimal(1)

    def capped(self, amount: Amount) -> Amount:
        """The amount, each kind cut to its limit."""
        cut = {
            kind: min(getattr(amount, kind), limit)
            for kind in KINDS
            if (limit := getattr(self, kind)) is not None
        }
        return Amount(**{kind: cut.get(kind, getattr(amount, kind)) for kind in KINDS})

    @property
    def is_set(self) -> bool:
        return any(getattr(self, kind) is not None for kind in KINDS)


NO_CAP = Cap()


@dataclass(frozen=True, slots=True)
class Budget:
    """The caps of one dialed number."""

    call: Cap = NO_CAP
    """For one call."""
    caller: Cap = NO_CAP
    """For all calls of one caller to this number in one day."""
    number: Cap = NO_CAP
    """For all calls to this number in one day."""
    zone: tzinfo = UTC
    """The time zone that days are counted in."""

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Budgets:
    """All caps of the settings."""

    of_number: dict[str, Budget] = field(default_factory=dict)
    """By `dialed`."""
    all_numbers: Budget = field(default_factory=Budget)
    """Its `number` caps all numbers together."""
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    """A cap is nearly reached, or reached."""

    cap: str
    """Its key in the settings: ``number_money``."""
    dialed: str | None
    """The number it applies to; None: all numbers."""
    caller: str | None
    """The caller it applies to; None if it applies to no single caller, or the number is withheld."""
    spent: str
    """``4.02 of 5 USD``."""
    share: float
    """1.0 when it is reached."""
    day: date
    reached: bool
    """Whether callers now bypass the agent because of it."""
