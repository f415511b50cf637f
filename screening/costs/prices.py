"""Model prices: a dated table, which the settings can override."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import structlog

from screening.contract import Tokens

log = structlog.get_logger("screendoor")

AS_OF = date(2026, 11, 22)
"""When the table was last compared with OpenAI's published prices."""
MILLION = 1_000_000
AUDIO_TOKENS_A_MINUTE = 600
"""Caller audio is counted as one token per 100 ms."""

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one model, per million tokens of each kind and per minute; 0 if that is not billed."""

    text_in: Decimal = Decimal(0)
    text_cached: Decimal = Decimal(0)
    text_out: Decimal = Decimal(0)
    audio_in: Decimal = Decimal(0)
    audio_cached: Decimal = Decimal(0)
    audio_out: Decimal = Decimal(0)
    minute: Decimal = Decimal(0)

    def of(self, tokens: Tokens, minutes: float) -> Decimal:
        """The money for this usage."""
        money = Decimal(repr(round(minutes, 6))) * self.minute
        for kind in Tokens.__slots__:
            money += getattr(tokens, kind) * getattr(self, kind) / MILLION
        return money

    @property
    def by_minute(self) -> bool:
        """Whether only time is billed."""
        return self.minute > 0 and not any(getattr(self, kind) for kind in Tokens.__slots__)


def price(text: str = "0 0 0", audio: str = "0 0 0", minute: str = "0") -> Price:
    """Make a price from texts of the form ``IN CACHED OUT``."""
    return Price(*map(Decimal, [*text.split(), *audio.split(), minute]))


_LARGE = price("4 0.4 24", "32 0.4 64")
_BEFORE = price("4 0.4 16", "32 0.4 64")
_SMALL = price("0.6 0.06 2.4", "10 0.3 20")
PUBLISHED: Mapping[str, Price] = {
    "gpt-realtime-2.1": _LARGE,
    "gpt-realtime-2": _LARGE,
    "gpt-realtime-1.5": _BEFORE,
    "gpt-realtime": _BEFORE,
    "gpt-realtime-2.1-mini": _SMALL,
    "gpt-realtime-mini": _SMALL,
    "gpt-live-1": price(minute="0.05"),
    "gpt-5.6-luna": price("0.2 0.02 1.2"),
    "gpt-5.6-terra": price("2 0.2 12"),
    "gpt-transcribe": price(minute="0.0045"),
    "gpt-realtime-whisper": price(minute="0.017"),
    "gpt-4o-transcribe": price("2.5 0 10", "2.5 0 0"),
    "gpt-4o-mini-transcribe": price("1.25 0 5", "1.25 0 0"),
}
"""In US dollars, as of `AS_OF`."""


class Prices:
    """Prices in effect: those of the settings, then the published ones."""

    def __init__(self, own: Mapping[str, Price] | None = None, currency: str = "USD") -> None:
        """The published prices are in dollars, and not used with another currency."""
        self.currency = currency
        self._table = {**(PUBLISHED if currency == "USD" else {}), **(own or {})}
        self._missed: set[str] = set()

    def of(self, model: str) -> Price | None:
        """The price of a model; None if unknown, which is logged once per model."""
        found = self.find(model)
        if found is None and model not in self._missed:
            self._missed.add(model)
            log.info("no price for this model: tokens and minutes are counted, money is not", model=model)
        return found

    def find(self, model: str) -> Price | None:
        """The price of a model; a date suffix of its name is ignored."""
        return self._table.get(model) or self._table.get(_DATED.sub("", model))
