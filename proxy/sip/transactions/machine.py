"""What the four transaction machines share: a state, and the timers that are due."""

from __future__ import annotations

from math import inf

from proxy.sip.message import Request
from proxy.sip.timers import Timers
from proxy.sip.transactions.state import State


class Machine:
    """A state and its timers; entering a state replaces all that were running. Figures: the subclasses."""

    state: State

    def __init__(self, request: Request, timers: Timers, reliable: bool) -> None:
        """`reliable`: the transport loses nothing, so that nothing is sent twice (§17)."""
        self.request = request
        self._timers = timers
        self._reliable = reliable
        self._due: dict[str, float] = {}

    @property
    def deadline(self) -> float | None:
        """When `expire` is next due; None while only messages can move it."""
        return min(self._due.values(), default=None)

    @property
    def terminated(self) -> bool:
        """True once nothing can happen any more."""
        return self.state is State.TERMINATED

    def _enter(self, state: State, **due: float) -> None:
        self.state = state
        self._due = due

    def _fired(self, timer: str, now: float) -> bool:
        return self._due.get(timer, inf) <= now
