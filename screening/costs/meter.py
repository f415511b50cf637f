"""Measures what one call uses at the vendor, while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from screening.contract import AgentCost, Tokens
from screening.costs.caps import Amount
from screening.costs.ledger import Reservation, unlimited_reservation
from screening.costs.prices import AUDIO_TOKENS_A_MINUTE, Price, Prices
from screening.provider import TRANSCRIBER, UsageReported

NOTHING = Tokens()


class Meter:
    """Minutes, tokens and money of one call; every change is passed on to its `reservation`."""

    def __init__(
        self,
        agent: str,
        model: str,
        prices: Prices,
        clock: Callable[[], float],
        *,
        transcriber: str = "",
        reservation: Reservation | None = None,
    ) -> None:
        """`transcriber` is the model that transcribes the caller; `clock` gives seconds."""
        self._agent, self._model, self._prices, self._clock = agent, model, prices, clock
        self._transcriber, self._reservation = (
            transcriber or TRANSCRIBER,
            reservation or unlimited_reservation(),
        )
        self._usage: dict[str, tuple[Tokens, float]] = {}
        self._began: float | None = None
        self._ended: float | None = None

    def begin(self) -> None:
        """The agent joined the call; only the first time counts."""
        if self._began is None:
            self._began = self._clock()

    def end(self) -> None:
        """The agent left the call."""
        if self._began is not None and self._ended is None:
            self._ended = self._clock()
            self._reservation.note(self._amount())

    def close(self) -> None:
        """The call ended: release the unused reservation."""
        self.end()
        self._reservation.close(self._amount())

    def count(self, used: UsageReported) -> None:
        """Count usage that the vendor reports."""
        model = self._transcriber if used.model == TRANSCRIBER else used.model or self._model
        tokens, seconds = self._usage.get(model, (NOTHING, 0.0))
        self._usage[model] = (tokens + used.tokens, seconds + used.seconds)
        self._reservation.note(self._amount())

    @property
    def exceeded(self) -> str | None:
        """Why the budget of this call is spent; None while some is left."""
        return self._reservation.exceeded(self._amount())

    @property
    def minutes(self) -> float:
        if self._began is None:
            return 0.0
        return ((self._clock() if self._ended is None else self._ended) - self._began) / 60

    @property
    def spent(self) -> AgentCost | None:
        """The total; None if no agent joined and nothing was billed."""
        if self._began is None and not self._usage:
            return None
        tokens = sum((tokens for tokens, _ in self._usage.values()), NOTHING)
        money, currency = self._money(), self._prices.currency
        return AgentCost(self._agent, self._model, self.minutes, tokens, money, currency)

    def _amount(self) -> Amount:
        spent = self.spent
        if spent is None:
            return Amount()
        return Amount(spent.minutes, spent.tokens.total, spent.money or Decimal(0))

    def _money(self) -> Decimal | None:
        """None if the agent's own model has no price: a sum of the rest would mislead."""
        if (own := self._prices.of(self._model)) is None:
            return None
        tokens, seconds = self._usage.get(self._model, (NOTHING, 0.0))
        # A vendor that reports its own time does so only now and then: take ours where it is ahead.
        money = own.of(tokens, max(seconds / 60, self.minutes))
        for model, (tokens, seconds) in self._usage.items():
            if model != self._model and (price := self._prices.of(model)) is not None:
                money += price.of(tokens, _minutes(price, tokens, seconds))
        return money.quantize(Decimal("0.000001"))


def unlimited(agent: str, model: str) -> Meter:
    """A meter without a budget."""
    return Meter(agent, model, Prices(), asyncio.get_running_loop().time)


def _minutes(price: Price, tokens: Tokens, seconds: float) -> float:
    """Billed minutes; a model that is paid by the minute may report its audio as tokens."""
    if seconds or not price.by_minute:
        return seconds / 60
    return (tokens.audio_in + tokens.audio_cached) / AUDIO_TOKENS_A_MINUTE
