"""Which of a number's agents is called next: as configured, but those that failed recently last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.call.routing import Agent

BACK_OFF_S, MAX_BACK_OFF_S = 30.0, 300.0
"""How long an agent that did not take a call comes last; doubled with each failure in a row."""


@dataclass(slots=True)
class _Failures:
    count: int
    back_at: float


class AgentOrder:
    """Remembers the agents that did not take a call; shared by all calls."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        """By the agents' names."""

    def of(self, agents: Sequence[Agent], down: Callable[[str], bool]) -> list[Agent]:
        """The agents in the order in which to call them.

        `down`: whether an agent fails its probes; it is left out if there is another.
        """
        if len(agents) < 2:
            return list(agents)
        standing = [agent for agent in agents if not down(f"agent:{agent.name}")]
        now = self._clock()
        return sorted(standing or agents, key=lambda agent: self._back_at(agent, now))

    def failed(self, agent: Agent) -> None:
        """It did not take a call."""
        now, failures = self._clock(), self._failures.setdefault(agent.name, _Failures(0, 0.0))
        if failures.back_at <= now:  # else called because there was no other, or by several calls at once
            failures.back_at = now + min(BACK_OFF_S * 2**failures.count, MAX_BACK_OFF_S)
            failures.count += 1

    def answered(self, agent: Agent) -> None:
        """It took a call."""
        self._failures.pop(agent.name, None)

    def _back_at(self, agent: Agent, now: float) -> float:
        failures = self._failures.get(agent.name)
        return failures.back_at if failures is not None and failures.back_at > now else 0.0
