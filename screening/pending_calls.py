"""The calls that wait for the vendor's webhook, by the nonce it brings back.

OpenAI may announce one INVITE by both of its APIs (`Api`), in either order and repeatedly; the first to
accept gets the call. So the announcement by the agent's own API is taken, once, and the other is left
unanswered: rejecting it would end the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from screening.provider import Provider
from screening.realtime_screening import RealtimeScreening
from screening.webhook import Api


@dataclass(slots=True)
class PendingCall:
    """A call of ours whose webhook has not arrived."""

    screening: RealtimeScreening
    provider: Provider
    api: Api
    """The API through which its agent takes calls."""
    other_api_announced: bool = False
    """The other API has announced the call."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that ended before its webhook arrived."""

    provider: Provider
    api: Api


class Ignored(Enum):
    """Why a webhook with a nonce of ours is ignored."""

    OTHER_API = "another API's twin"
    UNKNOWN = "token is not waited for"


class PendingCalls:
    """Calls by nonce. Those taken or ended are remembered until their webhook can no longer arrive."""

    def __init__(self, lifetime_s: float) -> None:
        """`lifetime_s` is how long a token is valid."""
        self._lifetime_s = lifetime_s
        self._pending: dict[bytes, PendingCall] = {}
        self._ended: dict[bytes, EndedCall] = {}
        self._taken: dict[bytes, Api] = {}
        self._until: dict[bytes, float] = {}
        """When each entry of `_ended` and `_taken` is forgotten, oldest first."""

    def add(self, nonce: bytes, call: PendingCall) -> None:
        self._pending[nonce] = call

    def match(self, nonce: bytes, api: Api, now: float) -> PendingCall | EndedCall | Ignored:
        """Return the call that an announcement by `api` is about, once only. `now`: loop time."""
        call = self._pending.get(nonce) or self._ended.get(nonce)
        if call is None:
            taken = self._taken.get(nonce)
            return Ignored.OTHER_API if taken not in (None, api) else Ignored.UNKNOWN
        if call.api is not api:
            if isinstance(call, PendingCall):
                call.other_api_announced = True
            return Ignored.OTHER_API
        self._pending.pop(nonce, None)
        self._ended.pop(nonce, None)
        self._taken[nonce] = api
        self._remember(nonce, now)
        return call

    def end(self, nonce: bytes, now: float) -> None:
        """The call is over: if its webhook still arrives, `match` returns `EndedCall`."""
        if waiting := self._pending.pop(nonce, None):
            self._ended[nonce] = EndedCall(waiting.provider, waiting.api)
            self._remember(nonce, now)

    def only_other_api_announced(self, nonce: bytes) -> bool:
        """Whether the call still waits and only the API its agent does not use has announced it."""
        waiting = self._pending.get(nonce)
        return waiting is not None and waiting.other_api_announced

    @property
    def screenings(self) -> list[RealtimeScreening]:
        return [waiting.screening for waiting in self._pending.values()]

    def _remember(self, nonce: bytes, now: float) -> None:
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            del self._until[oldest]
            self._ended.pop(oldest, None)
            self._taken.pop(oldest, None)
        self._until.pop(nonce, None)
        self._until[nonce] = now + self._lifetime_s
