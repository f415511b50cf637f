"""How much may come in: calls at once and calls a second, from each trunk and to each number."""

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
"""How long a trunk should wait before it tries again, drawn at random lest all come back at once: after too
many calls in a second, and when there is no room (RFC 3261 §20.33)."""
QUIET_S = 1.0
"""Calls turned away for one reason are logged once in this time."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of something there may be; None where it is not limited."""

    calls: int | None = None
    """At once."""
    calls_per_s: float | None = None
    """On average; a second's worth may come in one go."""


NO_LIMIT = Limit()


class Account:
    """What one trunk or number has of its limit; made once, so that a flood makes nothing."""

    __slots__ = ("_at", "_left", "live", "most", "name", "rate")

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.live = 0
        """Calls going on."""
        self.most = inf if limit.calls is None else limit.calls
        self.rate = limit.calls_per_s
        self._left = max(limit.calls_per_s or 0.0, 1.0)
        self._at = 0.0

    def hurried(self, rate: float, now: float) -> bool:
        """Whether one more call comes too soon; counts it if not."""
        self._left = min(self._left + (now - self._at) * rate, max(rate, 1.0))
        self._at = now
        if self._left < 1.0:
            return True
        self._left -= 1.0
        return False


class Capacity:
    """What this machine takes on; a caller of ours that comes beyond it is told when to come back."""

    def __init__(
        self,
        clock: Callable[[], float],
        draw: Callable[[float, float], float],
        *,
        overall: Limit = NO_LIMIT,
        trunks: Mapping[str, Limit] | None = None,
        numbers: Mapping[str, Limit] | None = None,
        trunk_of: Callable[[Flow], str | None] = lambda flow: None,
        strain: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`draw(low, high)` picks a time; `strain` says what is the matter with us, if anything."""
        self._clock, self._draw, self._trunk_of, self._strain = clock, draw, trunk_of, strain
        self._overall = Account("all trunks", overall)
        self._everybodys: tuple[Account, ...] = (self._overall,)
        self._trunks = _accounts(trunks, lambda name: f"trunk {name}")
        self._alike = not self._trunks and overall.calls_per_s is None
        """Whether neither whose a call is matters nor how fast they come: no limit is set to either."""
        self._numbers = _accounts(numbers, lambda name: f"number {mask(name)}")
        self._told: dict[str, float] = {}
        self.counts = {"strain": 0, "trunk": 0, "number": 0}
        """Calls turned away, by what was too much."""

    def sheds(self, flow: Flow) -> int | None:
        """Whether a new call of this trunk is turned away unread: seconds until it may come back, or None."""
        if why := self._strain():
            return self._away("strain", why, LATER_S)
        if self._alike and self._overall.live < self._overall.most:
            return None
        if (trunk := self._trunk_of(flow)) is None:  # a phone's, which is no call: it takes no trunk's turn
            return None
        own = self._trunks.get(trunk)
        return self._full("trunk", self._everybodys if own is None else (own, self._overall))

    def refuses(self, number: str) -> int | None:
        """The same for a call to this number."""
        own = self._numbers.get(number)
        return None if own is None else self._full("number", (own,))

    def enter(self, flow: Flow, number: str) -> tuple[Account, ...]:
        """A call begins; returns where it is counted, for `leave`."""
        accounts = self._everybodys
        if self._trunks and (trunk := self._trunks.get(self._trunk_of(flow) or "")) is not None:
            accounts = (*accounts, trunk)
        if (own := self._numbers.get(number)) is not None:
            accounts = (*accounts, own)
        for account in accounts:
            account.live += 1
        return accounts

    @staticmethod
    def leave(accounts: tuple[Account, ...]) -> None:
        """A call is over that was counted there."""
        for account in accounts:
            account.live -= 1

    def later(self) -> int:
        """Seconds after which there may be room again."""
        return round(self._draw(*LATER_S))

    def _full(self, kind: str, accounts: tuple[Account, ...]) -> int | None:
        """The narrowest account first: who has used up its own takes nothing of what is everybody's."""
        for account in accounts:
            if account.live >= account.most:
                return self._away(kind, f"too many calls at once: {account.name}", LATER_S)
        for account in accounts:
            if account.rate is not None and account.hurried(account.rate, self._clock()):
                return self._away(kind, f"too many calls a second: {account.name}", SOON_S)
        return None

    def _away(self, kind: str, why: str, wait: tuple[float, float]) -> int:
        self.counts[kind] += 1
        now = self._clock()
        if now - self._told.get(why, -QUIET_S) >= QUIET_S:
            self._told[why] = now
            log.warning("turned away", why=why)
        return round(self._draw(*wait))


def _accounts(limits: Mapping[str, Limit] | None, title: Callable[[str], str]) -> dict[str, Account]:
    """Of those that have a limit."""
    return {name: Account(title(name), limit) for name, limit in (limits or {}).items() if limit != NO_LIMIT}
