"""A notice queued for one target, and the outbox that holds it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
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
class Due:
    """Deliveries of one target, taken from the outbox."""

    deliveries: Sequence[Delivery]
    """Those that are due, in order of their due times."""
    next_due: float | None = None
    """When the next one is due; None if there is none or it is not known."""


class OutboxUnavailable(Exception):
    """The outbox cannot be read at the moment."""


class Outbox(Protocol):
    """Where deliveries wait; all methods but `take_due` and `abandon` return at once."""

    def put(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Store new deliveries; returns those for which there is no room.

        A known id is ignored, unless it has not been attempted yet: then the new delivery replaces it.
        """
        ...

    async def take_due(self, target: str, now: float, limit: int) -> Due:
        """Take up to `limit` due deliveries of a target. Raises `OutboxUnavailable`.

        One due later than the longest retry delay was stored while the clock was wrong, and counts as due.
        """
        ...

    def done(self, delivery: Delivery) -> None:
        """It was delivered."""
        ...

    def retry(self, delivery: Delivery, due: float, why: str) -> None:
        """Retry at `due`; `delivery` counts the attempts made."""
        ...

    def given_up(self, delivery: Delivery, why: str) -> None:
        """Give it up."""
        ...

    async def abandon(self, targets: Collection[str]) -> int:
        """Give up all deliveries to other targets; returns their number. Raises `OutboxUnavailable`."""
        ...

    def unsaved(self) -> int:
        """How many deliveries would be lost if the process ended now."""
        ...
