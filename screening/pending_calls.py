"""Which calls wait for the vendor's webhook, and what a webhook that brings a call's nonce is to them.

OpenAI may announce one INVITE twice, once by each of its APIs (`Api`), in any order and each more than
once; the first to accept has the call. So the announcement of the agent's own API is taken, once, and the
other one is let go by: rejecting it would end the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from screening.provider import Provider
from screening.realtime_screening import RealtimeScreening
from screening.webhook import Api


@dataclass(slots=True)
class Waiting:
    """A call of ours whose webhook has not come."""

    screening: RealtimeScreening
    provider: Provider
    api: Api
    """By which API its agent takes calls."""
    twin_came: bool = False
    """Whether the other API has announced it."""


@dataclass(frozen=True, slots=True)
class Left:
    """A call that ended before its webhook came."""

    provider: Provider
    api: Api


class Passed(Enum):
    """Why nothing is done about a webhook with a nonce of ours."""

    TWIN = "another API's twin"
    UNKNOWN = "token is not waited for"


class Awaited:
    """The calls by their nonces; those taken or ended are remembered until no webhook can come."""

    def __init__(self, lifetime_s: float) -> None:
        """`lifetime_s`: how long a token is good."""
        self._lifetime_s = lifetime_s
        self._waiting: dict[bytes, Waiting] = {}
        self._left: dict[bytes, Left] = {}
        self._taken: dict[bytes, Api] = {}
        self._until: dict[bytes, float] = {}
        """When each of the last two kinds is forgotten, the oldest first."""

    def add(self, nonce: bytes, waiting: Waiting) -> None:
        self._waiting[nonce] = waiting

    def match(self, nonce: bytes, api: Api, now: float) -> Waiting | Left | Passed:
        """What an announcement by `api` speaks of; handed out once. `now`: wall-clock seconds."""
        call = self._waiting.get(nonce) or self._left.get(nonce)
        if call is None:
            taken = self._taken.get(nonce)
            return Passed.TWIN if taken not in (None, api) else Passed.UNKNOWN
        if call.api is not api:
            if isinstance(call, Waiting):
                call.twin_came = True
            return Passed.TWIN
        self._waiting.pop(nonce, None)
        self._left.pop(nonce, None)
        self._taken[nonce] = api
        self._remember(nonce, now)
        return call

    def over(self, nonce: bytes, now: float) -> None:
        """The call is over; should its webhook still come, `match` says `Left`."""
        if waiting := self._waiting.pop(nonce, None):
            self._left[nonce] = Left(waiting.provider, waiting.api)
            self._remember(nonce, now)

    def twin_alone(self, nonce: bytes) -> bool:
        """Whether the call still waits, and only the API that its agent does not use has announced it."""
        waiting = self._waiting.get(nonce)
        return waiting is not None and waiting.twin_came

    @property
    def waiting(self) -> list[RealtimeScreening]:
        return [waiting.screening for waiting in self._waiting.values()]

    def _remember(self, nonce: bytes, now: float) -> None:
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            del self._until[oldest]
            self._left.pop(oldest, None)
            self._taken.pop(oldest, None)
        self._until.pop(nonce, None)
        self._until[nonce] = now + self._lifetime_s
