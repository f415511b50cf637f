"""The cost of agents for Prometheus, by agent: minutes, tokens by kind, and money, of finished calls."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from screening.contract import AgentCost, Tokens


class CostMetrics(Collector):
    """Collects the cost of each call that had any, when it ends."""

    def __init__(self) -> None:
        self._minutes: dict[str, float] = {}
        self._tokens: dict[tuple[str, str], int] = {}
        self._money: dict[tuple[str, str], float] = {}

    def call_over(self, spent: AgentCost) -> None:
        """Count one call."""
        self._minutes[spent.agent] = self._minutes.get(spent.agent, 0.0) + spent.minutes
        for kind in Tokens.__slots__:
            if count := getattr(spent.tokens, kind):
                of = (spent.agent, kind)
                self._tokens[of] = self._tokens.get(of, 0) + count
        if spent.money is not None:
            paid = (spent.agent, spent.currency)
            self._money[paid] = self._money.get(paid, 0.0) + float(spent.money)

    def collect(self) -> Iterator[Metric]:
        """Yield all series, for a scrape."""
        about = "Minutes that agents were in calls that are over"
        family = CounterMetricFamily("screendoor_agent_minutes", about, labels=["agent"])
        for agent, minutes in self._minutes.items():
            family.add_metric([agent], minutes)
        yield family
        about = "Tokens that vendors billed for these calls"
        family = CounterMetricFamily("screendoor_agent_tokens", about, labels=["agent", "kind"])
        for tokens_of, tokens in self._tokens.items():
            family.add_metric(tokens_of, tokens)
        yield family
        about = "What these calls cost"
        family = CounterMetricFamily("screendoor_agent_money", about, labels=["agent", "currency"])
        for money_of, money in self._money.items():
            family.add_metric(money_of, money)
        yield family
