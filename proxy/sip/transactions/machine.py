"""What the four transaction machines share: a state, and the two timers that may run in it."""

from __future__ import annotations

from math import inf

from proxy.sip.message import Request
from proxy.sip.timers import Timers
from proxy.sip.transactions.state import TERMINATED, State


class Machine:
    """A state, when its time is over (timers B, D, F, H to M), and when to send again (A, E, G).

    Entering a state replaces both. Figures: the subclasses.
    """

    state: State
    """Where it stands; a subclass says where it begins."""
    deadline: float | None = None
    """When `expire` is next due; None while only messages can move it."""
    terminated = False
    """True once nothing can happen any more."""
    lingers = 0.0
    """For how long it only waits for what comes late, to absorb, repeat or pass it on: from when it began to,
    until its deadline. Zero before that."""
    _ends_at = _again_at = inf

    def __init__(self, request: Request, timers: Timers, reliable: bool) -> None:
        """`reliable`: the transport loses nothing, so that nothing is sent twice (§17)."""
        self.request, self._timers, self._reliable = request, timers, reliable

    def _enter(self, state: State, ends_at: float = inf) -> None:
        """Be in this state, until a message or its timer ends it; nothing is sent again by itself."""
        self.state = state
        self.terminated = state is TERMINATED
        self._ends_at, self._again_at = ends_at, inf
        self.deadline = ends_at if ends_at < inf else None

    def _linger(self, state: State, now: float, wait_s: float) -> None:
        """Be in this state, in which nothing is left to do, for so long."""
        self.state = state
        self.lingers = wait_s
        self.deadline = self._ends_at = now + wait_s
        self._again_at = inf

    def _stay(self, ends_at: float, again_at: float = inf) -> None:
        """Stay in this state until then at most, and send again what was sent before that."""
        self._ends_at, self._again_at = ends_at, again_at
        self.deadline = again_at if again_at < ends_at else ends_at
