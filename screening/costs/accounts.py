"""What a call may cost, and what calls did cost: prices, caps and the ledger of the day in one place."""

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
"""What a minute of talk takes, as long as no call has been seen."""


class Books:
    """Opens the meter of each call, if there is room for it in the budgets."""

    def __init__(
        self, wall_clock: Callable[[], datetime], budgets: Budgets | None = None, prices: Prices | None = None
    ) -> None:
        self._budgets = budgets or Budgets()
        self._prices = prices or Prices(currency=self._budgets.currency)
        self.ledger = Ledger(self._budgets, wall_clock)

    def tell(self, told: Told) -> None:
        """Have this hear of each cap at 80 % and at 100 %, once a day."""
        self.ledger.told = told

    def restore(self, calls: Iterable[Past]) -> None:
        """Take in the calls of today from before a restart."""
        for past in calls:
            self.ledger.restore(past)

    def limited(self, caller: Caller, limits: ScreeningSettings) -> ScreeningSettings:
        """The limits of a talk, if the budget of a call has fewer minutes than they allow."""
        most = self._budgets.of_number.get(caller.dialed, self._budgets.all_numbers).call.minutes
        if most is None or most * 60 >= limits.talk_limit_s:
            return limits
        return replace(limits, talk_limit_s=most * 60, over="the budget of this call is spent")

    def meter(self, caller: Caller, agent: AgentSettings, limits: ScreeningSettings) -> Meter | str:
        """The meter of a call, which is to be closed; or why it is not to be asked by the agent."""
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
    """What it has its price by: an agent without an API is a model of its own."""
    return agent.name if agent.provider == SIP_AGENT else agent.model


def _transcriber(agent: AgentSettings) -> str:
    """The model that writes down what callers say: as the session's `extra` says, or the one of ours."""
    told: object = agent.extra
    for name in ("audio", "input", "transcription", "model"):
        told = told.get(name) if isinstance(told, dict) else None
    return told if isinstance(told, str) else "gpt-transcribe"
