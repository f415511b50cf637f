"""Cost control of agent calls: combines prices, caps and the daily ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from screening.contract import Caller, Tokens
from screening.costs.caps import Amount, Budgets
from screening.costs.ledger import Ledger, OnWarning, PastCall
from screening.costs.meter import Meter
from screening.costs.prices import Prices
from screening.settings import SIP_AGENT, AgentSettings, ScreeningSettings

MINUTE_ESTIMATE = Tokens(600, 1500, 150, 600, 1500, 700)
"""Estimated tokens of a minute of talk, until a call has been measured."""


class Accounts:
    """Opens a cost meter for each call that fits into the budgets."""

    def __init__(
        self, wall_clock: Callable[[], datetime], budgets: Budgets | None = None, prices: Prices | None = None
    ) -> None:
        self._budgets = budgets or Budgets()
        self._prices = prices or Prices(currency=self._budgets.currency)
        self.ledger = Ledger(self._budgets, wall_clock)

    def on_warning(self, callback: OnWarning) -> None:
        """Report each cap at 80 % and at 100 % to this callback, once a day."""
        self.ledger.on_warning = callback

    def restore(self, calls: Iterable[PastCall]) -> None:
        """Add today's calls from before a restart to the ledger."""
        for past in calls:
            self.ledger.restore(past)

    def limited(self, caller: Caller, limits: ScreeningSettings) -> ScreeningSettings:
        """Shorten the talk limit to the minutes that one call may cost."""
        limit = self._budgets.of_number.get(caller.dialed, self._budgets.all_numbers).call.minutes
        if limit is None or limit * 60 >= limits.talk_limit_s:
            return limits
        return replace(limits, talk_limit_s=limit * 60, over="the budget of this call is spent")

    def meter(self, caller: Caller, agent: AgentSettings, limits: ScreeningSettings) -> Meter | str:
        """Open the meter of a call, to be closed by the caller; or return why no budget is left for it."""
        model = _model(agent)
        reservation = self.ledger.open(caller, self._guess(model, limits.talk_limit_s / 60))
        if isinstance(reservation, str):
            return reservation
        clock = asyncio.get_running_loop().time
        return Meter(
            agent.name, model, self._prices, clock, transcriber=_transcriber(agent), reservation=reservation
        )

    def _guess(self, model: str, minutes: float) -> Amount:
        price = self._prices.of(model)
        per_minute = Amount(
            1.0, MINUTE_ESTIMATE.total, price.of(MINUTE_ESTIMATE, 1.0) if price else Decimal(0)
        )
        return per_minute.share(Decimal(repr(minutes)))


def _model(agent: AgentSettings) -> str:
    """The key of its price: the model, or the name of an agent without an API."""
    return agent.name if agent.provider == SIP_AGENT else agent.model


def _transcriber(agent: AgentSettings) -> str:
    """The model that transcribes the caller: from the session's `extra`, or our default."""
    found: object = agent.extra
    for name in ("audio", "input", "transcription", "model"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else "gpt-transcribe"
