"""The decision about one caller, latched until the call collects it."""

from __future__ import annotations

import enum

from screening.condition import Condition
from screening.contract import Undecided, Verdict


class Stage(enum.Enum):
    """State of the judgement."""

    WAITING = "no session yet"
    TALKING = "a decision is awaited"
    DECIDED = "a decision was taken, or will not be had"


class Judgement:
    """The verdict, if any, and whether a decision is awaited.

    WAITING --begin--> TALKING <--reopen (the phone did not answer)--+
       |                  |                                          |
       +------------------+--settle, give, lose--> DECIDED ----------+
    """

    def __init__(self) -> None:
        self.changed = Condition()
        """Signalled on everything that this screening may wait for."""
        self.stage = Stage.WAITING
        self.lost: str | None = None
        """Why there is no session, or not any more; None while there may be one."""
        self.refer_arrived = False
        """The REFER of this round has arrived."""
        self.round = 0
        """How many times the phone did not answer and a new decision was awaited."""
        self._verdict: Verdict | None = None

    async def verdict(self) -> Verdict:
        """Wait for the next verdict and take it. A cancelled wait leaves it in place."""
        await self.changed.wait_for(lambda: self._verdict is not None)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None
        return verdict

    def begin(self) -> None:
        """Note that there is a session."""
        if self.stage is Stage.WAITING:
            self.stage = Stage.TALKING
            self.changed.notify_all()

    def settle(self) -> None:
        """Note that a decision was made: none is awaited, and no limit runs, until `reopen`."""
        self.stage = Stage.DECIDED
        self.changed.notify_all()

    def give(self, verdict: Verdict) -> None:
        """Latch a verdict for the call."""
        self._verdict = verdict
        self.settle()

    def lose(self, reason: str) -> None:
        """Note that the session is lost, which decides `Undecided` if a decision was still awaited."""
        self.lost = self.lost or reason
        if self.stage is not Stage.DECIDED:
            self.give(Undecided(reason))
        self.changed.notify_all()

    def refer_seen(self) -> None:
        self.refer_arrived = True
        self.settle()

    def reopen(self) -> bool:
        """Await a new decision, as the phone did not answer. False if nobody is left to make one."""
        self._verdict = None
        self.refer_arrived = False
        self.round += 1
        if self.stage is Stage.WAITING or self.lost is not None:
            self.give(Undecided(self.lost or "the agent is not in the call"))
            return False
        self.stage = Stage.TALKING
        self.changed.notify_all()
        return True
