"""The interface of delivery channels, and the outcomes of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from screening.notices.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Delivered:
    """It was delivered."""

    how: str
    """A short fact for a person, such as ``answered 204``."""


@dataclass(frozen=True, slots=True)
class Later:
    """It was not delivered and is retried."""

    why: str
    """A short fact that may be logged: no numbers, secrets or transcripts."""
    retry_after_s: float | None = None
    """The delay that the receiver asked for (Retry-After), if any."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It was not delivered and is not retried."""

    why: str


Outcome = Delivered | Later | GivenUp


class Channel(Protocol):
    """A way to reach one receiver."""

    concurrency: int
    """Maximum concurrent deliveries."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Try one delivery, within a time limit of its own. A receiver's misbehaviour never raises."""
        ...

    async def close(self) -> None: ...
