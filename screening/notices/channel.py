"""Who carries a notice out of the house, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from screening.notices.delivery import Letter


@dataclass(frozen=True, slots=True)
class Delivered:
    """It arrived."""

    how: str
    """A short fact for a person, such as ``answered 204``."""


@dataclass(frozen=True, slots=True)
class Later:
    """It did not arrive, and is tried again."""

    why: str
    """A short fact, fit for the log: without numbers, secrets and words said."""
    asked_s: float | None = None
    """How long the receiver asks us to wait, if it does."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It did not arrive, and will not."""

    why: str


Answer = Delivered | Later | GivenUp


class Courier(Protocol):
    """One way out, to one receiver."""

    at_once: int
    """How many it carries at a time."""

    async def deliver(self, letter: Letter) -> Answer:
        """Carry one; within a time limit of its own, and without raising for anything a receiver may do."""
        ...

    async def close(self) -> None: ...
