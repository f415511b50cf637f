"""A notice on its way to one target, and where it waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice for one target."""

    id: str
    """The same however often it is tried, so that a receiver can tell."""
    event: str
    target: str
    """The target's name in the settings."""
    payload: Mapping[str, Any]
    """`Notice.payload`, ready for JSON."""
    created: float
    """In seconds since 1970. So with the next."""
    due: float
    """Not tried before."""
    tries: int = 0
    """How often it was tried."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a target is owed."""

    letters: Sequence[Letter]
    """Those that are due, in that order."""
    next_due: float | None = None
    """When the first of the others is; None where there are none, or where they are not known."""


class Unreachable(Exception):
    """What waits cannot be had just now."""


class Outbox(Protocol):
    """Where letters wait until they have arrived; all but `waiting` and `abandon` returns at once."""

    def put(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        """Keep these; returns what there is no more room for.

        One that is known is not told again; where nobody has tried it yet, the new one stands in its place.
        """
        ...

    async def waiting(self, target: str, now: float, most: int) -> Waiting:
        """Return what is due for a target, `most` at a time; raises `Unreachable`.

        What is due later than we ever wait was put when the clock was wrong, and is due now.
        """
        ...

    def done(self, letter: Letter) -> None:
        """It has arrived."""
        ...

    def later(self, letter: Letter, due: float, why: str) -> None:
        """It is tried again when it is `due`; `letter` counts the tries made."""
        ...

    def given_up(self, letter: Letter, why: str) -> None:
        """It is not tried again."""
        ...

    async def abandon(self, targets: Collection[str]) -> int:
        """Give up what waits for any but these targets; returns how much that was. Raises `Unreachable`."""
        ...

    def lost(self) -> int:
        """How many letters are lost if we end now."""
        ...
