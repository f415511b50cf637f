"""Base class of the four transaction machines: a state, and the two timers that may run in it."""

from __future__ import annotations

from math import inf

from proxy.sip.message import Request
from proxy.sip.timers import Timers
from proxy.sip.transactions.state import TERMINATED, State


class Machine:
    """A state, the time when it ends (timers B, D, F, H to M), and the next retransmission (A, E, G).

    Entering a state resets both timers. Each subclass shows its figure.
    """

    state: State
    """The current state; subclasses set the initial one."""
    deadline: float | None = None
    """When `expire` is next due; None while no timer runs."""
    terminated = False
    """True once the transaction is over."""
    linger_s = 0.0
    """Length of the final waiting state, which ends at `deadline` and only absorbs, repeats or passes on late
    messages; zero before that state."""
    _ends_at = _resend_at = inf

    def __init__(self, request: Request, timers: Timers, reliable: bool) -> None:
        """`reliable`: the transport is, so nothing is retransmitted (§17)."""
        self.request, self._timers, self._reliable = request, timers, reliable

    def _enter(self, state: State, ends_at: float = inf) -> None:
        """Enter a state that lasts until `ends_at` at most, without retransmissions."""
        self.state = state
        self.terminated = state is TERMINATED
        self._ends_at, self._resend_at = ends_at, inf
        self.deadline = ends_at if ends_at < inf else None

    def _linger(self, state: State, now: float, wait_s: float) -> None:
        """Enter a final waiting state (see `linger_s`) for `wait_s`."""
        self.state = state
        self.linger_s = wait_s
        self.deadline = self._ends_at = now + wait_s
        self._resend_at = inf

    def _stay(self, ends_at: float, resend_at: float = inf) -> None:
        """Stay in the state until `ends_at` at most, and retransmit at `resend_at`."""
        self._ends_at, self._resend_at = ends_at, resend_at
        self.deadline = resend_at if resend_at < ends_at else ends_at
