"""Admission limits: calls at once and calls per second, overall, from each trunk and to each number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import structlog

from proxy.log import mask
from proxy.transport.flow import Flow

log = structlog.get_logger("screendoor")

SOON_S = (2.0, 6.0)
LATER_S = (15.0, 45.0)
"""The range of Retry-After (RFC 3261 §20.33), drawn at random so that not all come back at once: SOON_S after
too many calls per second, LATER_S when there is no room."""
QUIET_S = 1.0
"""Calls turned away for one reason are logged at most once in this time."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit to calls; None means unlimited."""

    calls: int | None = None
    """Calls at once."""
    calls_per_s: float | None = None
    """Calls per second on average; a second's worth may come in one burst (token bucket)."""


NO_LIMIT = Limit()


class Quota:
    """How much of its limit one trunk or number uses; made once, so that a flood allocates nothing."""

    __slots__ = ("_at", "_left", "live", "max_calls", "name", "rate")

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.live = 0
        """Calls that are going on."""
        self.max_calls = inf if limit.calls is None else limit.calls
        self.rate = limit.calls_per_s
        self._left = max(limit.calls_per_s or 0.0, 1.0)
        self._at = 0.0

    def exceeds_rate(self, rate: float, now: float) -> bool:
        """Whether one more call exceeds the rate; takes a token if not."""
        self._left = min(self._left + (now - self._at) * rate, max(rate, 1.0))
        self._at = now
        if self._left < 1.0:
            return True
        self._left -= 1.0
        return False


class Capacity:
    """Decides whether a new call is taken; a trunk whose call is not gets a Retry-After."""

    def __init__(
        self,
        clock: Callable[[], float],
        draw: Callable[[float, float], float],
        *,
        overall: Limit = NO_LIMIT,
        trunks: Mapping[str, Limit] | None = None,
        numbers: Mapping[str, Limit] | None = None,
        trunk_of: Callable[[Flow], str | None] = lambda flow: None,
        overload: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`draw(low, high)` picks a random time; `overload` says why the process is overloaded, or None."""
        self._clock, self._draw, self._trunk_of, self._overload = clock, draw, trunk_of, overload
        self._overall = Quota("all trunks", overall)
        self._shared_quotas: tuple[Quota, ...] = (self._overall,)
        self._trunks = _quotas(trunks, lambda name: f"trunk {name}")
        self._sender_irrelevant = not self._trunks and overall.calls_per_s is None
        """True if neither trunks nor the overall rate are limited: the sender need not be looked up then."""
        self._numbers = _quotas(numbers, lambda name: f"number {mask(name)}")
        self._logged_at: dict[str, float] = {}
        self.counts = {"strain": 0, "trunk": 0, "number": 0}
        """Calls turned away, by the kind of limit."""

    def sheds(self, flow: Flow) -> int | None:
        """Whether a new call is rejected before it is parsed: its Retry-After in seconds, or None."""
        if why := self._overload():
            return self._turn_away("strain", why, LATER_S)
        if self._sender_irrelevant and self._overall.live < self._overall.max_calls:
            return None
        if (trunk := self._trunk_of(flow)) is None:  # a registered phone's: counts against no trunk
            return None
        own = self._trunks.get(trunk)
        return self._over_quota("trunk", self._shared_quotas if own is None else (own, self._overall))

    def refuses(self, number: str) -> int | None:
        """Whether a call to this number is rejected: its Retry-After in seconds, or None."""
        own = self._numbers.get(number)
        return None if own is None else self._over_quota("number", (own,))

    def enter(self, flow: Flow, number: str) -> tuple[Quota, ...]:
        """Count a call that begins; returns the accounts it is counted in, for `leave`."""
        quotas = self._shared_quotas
        if self._trunks and (trunk := self._trunks.get(self._trunk_of(flow) or "")) is not None:
            quotas = (*quotas, trunk)
        if (own := self._numbers.get(number)) is not None:
            quotas = (*quotas, own)
        for quota in quotas:
            quota.live += 1
        return quotas

    @staticmethod
    def leave(quotas: tuple[Quota, ...]) -> None:
        """A call that was counted in these accounts is over."""
        for quota in quotas:
            quota.live -= 1

    def retry_after_s(self) -> int:
        """A Retry-After for when there is no room."""
        return round(self._draw(*LATER_S))

    def _over_quota(self, kind: str, quotas: tuple[Quota, ...]) -> int | None:
        """Check the narrowest account first, so that a trunk over its own limit uses up no shared tokens."""
        for quota in quotas:
            if quota.live >= quota.max_calls:
                return self._turn_away(kind, f"too many calls at once: {quota.name}", LATER_S)
        for quota in quotas:
            if quota.rate is not None and quota.exceeds_rate(quota.rate, self._clock()):
                return self._turn_away(kind, f"too many calls a second: {quota.name}", SOON_S)
        return None

    def _turn_away(self, kind: str, why: str, wait: tuple[float, float]) -> int:
        self.counts[kind] += 1
        now = self._clock()
        if now - self._logged_at.get(why, -QUIET_S) >= QUIET_S:
            self._logged_at[why] = now
            log.warning("turned away", why=why)
        return round(self._draw(*wait))


def _quotas(limits: Mapping[str, Limit] | None, title: Callable[[str], str]) -> dict[str, Quota]:
    """One account for each name that has a limit."""
    return {name: Quota(title(name), limit) for name, limit in (limits or {}).items() if limit != NO_LIMIT}
