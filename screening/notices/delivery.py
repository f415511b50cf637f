"""A notice queued for one target, and the outbox that holds it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice for one target."""

    id: str
    """The same for every attempt, so that receivers can deduplicate."""
    event: str
    target: str
    """The target's name in the settings."""
    payload: Mapping[str, Any]
    """`Notice.payload`, ready for JSON."""
    created: float
    """Unix time in seconds, as is `due`."""
    due: float
    """Not attempted earlier."""
    tries: int = 0
    """Attempts made so far."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deliveries of one target, taken from the outbox."""

    letters: Sequence[Letter]
    """Those that are due, in order of their due times."""
    next_due: float | None = None
    """When the next one is due; None if there is none or it is not known."""


class Unreachable(Exception):
    """The outbox cannot be read at the moment."""


class Outbox(Protocol):
    """Where deliveries wait; all methods but `waiting` and `abandon` return at once."""

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        """Store new deliveries; returns those for which there is no room.

        A known id is ignored, unless it has not been attempted yet: then the new delivery replaces it.
        """
        ...

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        """Take up to `most` due deliveries of a target. Raises `Unreachable`.

        One due later than the longest retry delay was stored while the clock was wrong, and counts as due.
        """
        ...

    def done(self, letter: Letter) -> None:
        """It was delivered."""
        ...

    def later(self, letter: Letter, due: float, why: str) -> None:
        """Retry at `due`; `letter` counts the attempts made."""
        ...

    def given_up(self, letter: Letter, why: str) -> None:
        """Give it up."""
        ...

    async def abandon(self, targets: Collection[str]) -> int:
        """Give up all deliveries to other targets; returns their number. Raises `Unreachable`."""
        ...

    def lost(self) -> int:
        """How many deliveries would be lost if the process ended now."""
        ...
