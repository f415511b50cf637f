"""Cost control of agent calls: combines prices, caps and the daily ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from screening.contract import Caller, Tokens
from screening.costs.caps import Amount, Budgets
from screening.costs.ledger import Ledger, Past, Told
from screening.costs.meter import Meter
from screening.costs.prices import Prices
from screening.settings import SIP_AGENT, AgentSettings, ScreeningSettings

A_MINUTE = Tokens(600, 1500, 150, 600, 1500, 700)
"""Estimated tokens of a minute of talk, until a call has been measured."""


class Books:
    """Opens a cost meter for each call that fits into the budgets."""

    def __init__(
        self, wall_clock: Callable[[], datetime], budgets: Budgets | None = None, prices: Prices | None = None
    ) -> None:
        self._budgets = budgets or Budgets()
        self._prices = prices or Prices(currency=self._budgets.currency)
        self.ledger = Ledger(self._budgets, wall_clock)

    def tell(self, told: Told) -> None:
        """Report each cap at 80 % and at 100 % to this callback, once a day."""
        self.ledger.told = told

    def restore(self, calls: Iterable[Past]) -> None:
        """Add today's calls from before a restart to the ledger."""
        for past in calls:
            self.ledger.restore(past)

    def limited(self, caller: Caller, limits: ScreeningSettings) -> ScreeningSettings:
        """Shorten the talk limit to the minutes that one call may cost."""
        most = self._budgets.of_number.get(caller.dialed, self._budgets.all_numbers).call.minutes
        if most is None or most * 60 >= limits.talk_limit_s:
            return limits
        return replace(limits, talk_limit_s=most * 60, over="the budget of this call is spent")

    def meter(self, caller: Caller, agent: AgentSettings, limits: ScreeningSettings) -> Meter | str:
        """Open the meter of a call, to be closed by the caller; or return why no budget is left for it."""
        model = _model(agent)
        tab = self.ledger.open(caller, self._guess(model, limits.talk_limit_s / 60))
        if isinstance(tab, str):
            return tab
        clock = asyncio.get_running_loop().time
        return Meter(agent.name, model, self._prices, clock, transcriber=_transcriber(agent), tab=tab)

    def _guess(self, model: str, minutes: float) -> Amount:
        price = self._prices.of(model)
        a_minute = Amount(1.0, A_MINUTE.total, price.of(A_MINUTE, 1.0) if price else Decimal(0))
        return a_minute.share(Decimal(repr(minutes)))


def _model(agent: AgentSettings) -> str:
    """The key of its price: the model, or the name of an agent without an API."""
    return agent.name if agent.provider == SIP_AGENT else agent.model


def _transcriber(agent: AgentSettings) -> str:
    """The model that transcribes the caller: from the session's `extra`, or our default."""
    told: object = agent.extra
    for name in ("audio", "input", "transcription", "model"):
        told = told.get(name) if isinstance(told, dict) else None
    return told if isinstance(told, str) else "gpt-transcribe"
