"""Parallel forking: the first confirmed answer takes the call (RFC 3261 §16.7)."""

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
"""From this status on nothing else is tried: a 6xx speaks for the user, not one phone (RFC 3261 §16.7)."""

Attempt = asyncio.Task[None]


class Race:
    """Concurrent attempts to reach phones, each with its own leg. More may enter while it is open."""

    __slots__ = ("_attempts", "_dismiss", "_finished_queue", "_note", "_pending", "open")

    def __init__(
        self, note: Callable[[Leg, SipError], bool], dismiss: Callable[[Leg, EndReason], None]
    ) -> None:
        """`note` is called for a leg that failed; returns whether other legs have entered in its place.

        `dismiss` is called to end a leg that is not needed any more.
        """
        self._note, self._dismiss = note, dismiss
        self._attempts: dict[Attempt, Leg] = {}
        self._pending: set[Attempt] = set()
        self._finished_queue: asyncio.Queue[Attempt] = asyncio.Queue()
        self.open = True
        """Whether attempts may still enter."""

    @property
    def is_under_way(self) -> bool:
        """Whether attempts may still enter, beside others that have not failed yet."""
        return self.open and bool(self._pending)

    def enter(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        """Start one more attempt: `work` returns once its leg has taken the call."""
        attempt = asyncio.ensure_future(work)
        self._attempts[attempt] = leg
        self._pending.add(attempt)
        attempt.add_done_callback(self._finished_queue.put_nowait)

    async def winner(self) -> Leg:
        """Wait for the leg that takes the call and end the others; raises the best failure if none does."""
        try:
            winner = await self._first_success()
            for leg in self._attempts.values():
                if leg is not winner:
                    self._dismiss(leg, EndReason.ELSEWHERE)
            return winner
        finally:
            self.open = False
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)

    async def _first_success(self) -> Leg:
        failures: list[SipError] = []
        while self._pending:
            for attempt in await self._finished():
                try:
                    attempt.result()
                    return self._attempts[attempt]
                except NOT_TAKEN as failure:
                    if not self._note(self._attempts[attempt], failure):
                        failures.append(failure)
                    if status_of(failure) >= GLOBAL_FAILURE:
                        self._stop_ringing(failure)
        raise best(failures)

    async def _finished(self) -> list[Attempt]:
        """Wait for attempts to finish; those of one tick are returned in the order in which they began."""
        over = {await self._finished_queue.get()}
        while not self._finished_queue.empty():
            over.add(self._finished_queue.get_nowait())
        found = [each for each in self._attempts if each in over and each in self._pending]
        self._pending -= over
        return found

    def _stop_ringing(self, refusal: SipError) -> None:
        """After a global failure, end the attempts that it stops, and keep waiting for the rest.

        A 6xx response ends what still rings, but hangs up on nobody who has picked up already and is hearing
        who calls (§16.7). A person who picked up and declined by a key stops those as well.
        """
        self.open = False
        by_phone = isinstance(refusal, Rejected)
        spared = {each for each in self._pending if by_phone and self._attempts[each].dialog is not None}
        for attempt in self._pending - spared:
            self._dismiss(self._attempts[attempt], EndReason.DECLINED)
        self._pending = spared


def best(failures: Sequence[SipError]) -> SipError:
    """The best response of a fork (RFC 3261 §16.7): a 6xx, else one of the lowest class, 486 first."""

    def rank(failure: SipError) -> tuple[int, bool]:
        status = status_of(failure)
        return (0 if status >= GLOBAL_FAILURE else status // 100), status != 486

    return min(failures, key=rank)
