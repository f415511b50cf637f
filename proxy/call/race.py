"""Who of several takes the call: the first confirmed answer wins (RFC 3261 §16.7). More may join them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from proxy.call.outcome import NOT_TAKEN, status_of
from proxy.sip.errors import SipError
from proxy.ua.errors import Rejected
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason

GLOBAL_FAILURE = 600
"""From this status on nobody else is tried: it speaks for the user, not for one phone (RFC 3261 §16.7)."""

Attempt = asyncio.Task[None]


class Race:
    """The attempts at some phones, each with its leg."""

    __slots__ = ("_attempts", "_dismiss", "_note", "_over", "_waiting", "open")

    def __init__(
        self, note: Callable[[Leg, SipError], None], dismiss: Callable[[Leg, EndReason], None]
    ) -> None:
        """`note` hears of a leg that did not take the call, `dismiss` of one that is not wanted any more."""
        self._note, self._dismiss = note, dismiss
        self._attempts: dict[Attempt, Leg] = {}
        self._waiting: set[Attempt] = set()
        self._over: asyncio.Queue[Attempt] = asyncio.Queue()
        self.open = True
        """Whether somebody may still join."""

    def enter(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        """One more attempt, from now on; it returns once its leg has taken the call."""
        attempt = asyncio.ensure_future(work)
        self._attempts[attempt] = leg
        self._waiting.add(attempt)
        attempt.add_done_callback(self._over.put_nowait)

    async def won(self) -> Leg:
        """The leg that took the call; the others are ended. Raises the best failure when none does."""
        try:
            winner = await self._first()
            for leg in self._attempts.values():
                if leg is not winner:
                    self._dismiss(leg, EndReason.ELSEWHERE)
            return winner
        finally:
            self.open = False
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)

    async def _first(self) -> Leg:
        failures: list[SipError] = []
        while self._waiting:
            for attempt in await self._done():
                try:
                    attempt.result()
                    return self._attempts[attempt]
                except NOT_TAKEN as failure:
                    self._note(self._attempts[attempt], failure)
                    failures.append(failure)
                    if status_of(failure) >= GLOBAL_FAILURE:
                        self._spare(failure)
        raise best(failures)

    async def _done(self) -> list[Attempt]:
        """Those that are over: of one tick, in the order in which they began."""
        over = {await self._over.get()}
        while not self._over.empty():
            over.add(self._over.get_nowait())
        found = [each for each in self._attempts if each in over and each in self._waiting]
        self._waiting -= over
        return found

    def _spare(self, refusal: SipError) -> None:
        """Leave in the race who may still take the call though one speaks for all: the others are ended.

        A phone's 6xx ends what rings, but hangs up on nobody who has picked up and is told who calls (§16.7).
        Whoever has picked up himself, and says no by a key, speaks for those as well.
        """
        self.open = False
        by_phone = isinstance(refusal, Rejected)
        spared = {each for each in self._waiting if by_phone and self._attempts[each].dialog is not None}
        for attempt in self._waiting - spared:
            self._dismiss(self._attempts[attempt], EndReason.DECLINED)
        self._waiting = spared


def best(failures: Sequence[SipError]) -> SipError:
    """The failure that speaks for all (RFC 3261 §16.7): a 6xx, else of the lowest class, busy first."""

    def rank(failure: SipError) -> tuple[int, bool]:
        status = status_of(failure)
        return (0 if status >= GLOBAL_FAILURE else status // 100), status != 486

    return min(failures, key=rank)
