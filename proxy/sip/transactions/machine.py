"""What the four transaction machines share: a state, and the timers that are due."""

from __future__ import annotations

from math import inf

from proxy.sip.message import Request
from proxy.sip.timers import Timers
from proxy.sip.transactions.state import State


class Machine:
    """A state and its timers; entering a state replaces all that were running. Figures: the subclasses."""

    state: State
    """Where it stands; a subclass says where it begins."""
    lingering: tuple[State, ...] = ()
    """The states in which nothing is left to do but to absorb, repeat or pass on what comes late."""

    def __init__(self, request: Request, timers: Timers, reliable: bool) -> None:
        """`reliable`: the transport loses nothing, so that nothing is sent twice (§17)."""
        self.request = request
        self.deadline: float | None = None
        """When `expire` is next due; None while only messages can move it."""
        self.terminated = False
        """True once nothing can happen any more."""
        self.lingers = False
        """True while it only waits for what comes late; its deadline says how long."""
        self._timers = timers
        self._interval = timers.t1
        """Until the next retransmission: timers A, E and G begin alike."""
        self._reliable = reliable
        self._due: dict[str, float] = {}

    def _enter(self, state: State, timer: str | None = None, at: float | None = None) -> None:
        """Be in this state, with this one timer running, if any."""
        self.state = state
        self.terminated = state is State.TERMINATED
        self.lingers = state in self.lingering
        self._due = {timer: at} if timer is not None and at is not None else {}
        self.deadline = at

    def _set(self, timer: str, at: float) -> None:
        """Have one more timer run, or an old one anew."""
        self._due[timer] = at
        sooner = self.deadline is None or at <= self.deadline
        self.deadline = at if sooner else min(self._due.values())

    def _drop(self, timer: str) -> None:
        """Have a timer run no more; another one runs still."""
        self._due.pop(timer, None)
        self.deadline = min(self._due.values())

    def _fired(self, timer: str, now: float) -> bool:
        return self._due.get(timer, inf) <= now
