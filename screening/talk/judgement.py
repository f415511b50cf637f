"""What is decided about one caller, latched until the call asks for it."""

from __future__ import annotations

import enum

from screening.condition import Change
from screening.contract import Undecided, Verdict


class Stage(enum.Enum):
    """Where the judgement stands."""

    WAITING = "no session yet"
    TALKING = "a decision is awaited"
    DECIDED = "a decision was taken, or will not be had"


class Judgement:
    """The verdict slot, and whether a decision is awaited.

    WAITING --begin--> TALKING <--reopen (the phone did not answer)--+
       |                  |                                          |
       +------------------+--settle, give, lose--> DECIDED ----------+
    """

    def __init__(self) -> None:
        self.change = Change()
        """Told of everything that a wait of this screening may hang on."""
        self.stage = Stage.WAITING
        self.lost: str | None = None
        """Why there is no session (any more)."""
        self.refer_arrived = False
        """Whether the REFER of this round is on the wire."""
        self.round = 0
        """How often the phone did not answer, and a new decision was awaited."""
        self._verdict: Verdict | None = None

    async def verdict(self) -> Verdict:
        """Wait for the next verdict and take it; cancelling the wait leaves it for the next."""
        await self.change.until(lambda: self._verdict is not None)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None
        return verdict

    def begin(self) -> None:
        """There is a session."""
        if self.stage is Stage.WAITING:
            self.stage = Stage.TALKING
            self.change.happened()

    def settle(self) -> None:
        """A decision was taken; no other is until `reopen`, and no limit runs."""
        self.stage = Stage.DECIDED
        self.change.happened()

    def give(self, verdict: Verdict) -> None:
        """Latch a verdict for the call."""
        self._verdict = verdict
        self.settle()

    def lose(self, reason: str) -> None:
        """There will be no session any more; if a decision was still awaited, none will come."""
        self.lost = self.lost or reason
        if self.stage is not Stage.DECIDED:
            self.give(Undecided(reason))
        self.change.happened()

    def refer_seen(self) -> None:
        self.refer_arrived = True
        self.settle()

    def reopen(self) -> bool:
        """The phone did not answer: await a new decision. False if there is nobody to take one."""
        self._verdict = None
        self.refer_arrived = False
        self.round += 1
        if self.stage is Stage.WAITING or self.lost is not None:
            self.give(Undecided(self.lost or "the agent is not in the call"))
            return False
        self.stage = Stage.TALKING
        self.change.happened()
        return True
