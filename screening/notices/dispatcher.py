"""Turns call records and budget warnings into deliveries, and retries each until it arrives.

Handing something in returns at once. Each target has a task of its own, so that a slow one delays no other.
What has not arrived stays in the outbox, also across restarts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, assert_never

import structlog

from screening.condition import Condition
from screening.notices.channel import Answer, Delivered, GivenUp, Later
from screening.notices.delivery import Letter, Outbox, Unreachable
from screening.notices.notice import Budget, Record
from screening.notices.retry_schedule import again_after_s, pause_s
from screening.notices.target import Target, letters_of_budget, letters_of_call

log = structlog.get_logger("screendoor")

LOOK_S = 60.0
"""How often the outbox is polled: the wall clock may be set, and another process sharing the outbox may have
added deliveries.
"""
AWAY_S = 5.0
"""Interval between attempts to read an unavailable outbox."""
CLOSE_LIMIT_S = 5.0
"""How long shutdown waits for deliveries in progress."""
DONE, LATER, GIVEN_UP = "done", "later", "given up"
"""Metric labels for the results of attempts."""


class Post:
    """Delivers notices to all targets for the duration of an ``async with``."""

    def __init__(
        self,
        targets: Sequence[Target],
        outbox: Outbox,
        now: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        """`now` is the wall clock, as Unix time in seconds."""
        self._targets, self._outbox, self._now, self._uniform = targets, outbox, now, uniform
        self.counts: Counter[tuple[str, str]] = Counter()
        """Attempts by event and result, for the metrics."""
        self._wakes = {target.name: asyncio.Event() for target in targets}
        self._resting: set[str] = set()
        self._changed = Condition()
        self._carrying: set[asyncio.Task[Answer]] = set()
        self._serving: list[asyncio.Task[None]] = []
        self._away = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def finished(self, record: Record, wait_s: float = 0.0) -> None:
        """Send the notices of a call that ended; returns at once.

        If a voicemail's transcript is still to come, targets that want it are notified when this is called
        again, or after `wait_s`.
        """
        self._take(letters_of_call(self._targets, record, self._now(), wait_s))

    def budget(self, budget: Budget) -> None:
        """Send a budget warning; returns at once. A stored outbox sends each warning once a day."""
        self._take(letters_of_budget(self._targets, budget, self._now()))

    def look(self) -> None:
        """Check the outbox now, because something was added to it. Thread-safe."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            lost = await self._outbox.abandon([target.name for target in self._targets])
        except Unreachable as away:
            self._unreachable(away)
        else:
            if lost:
                log.warning("notices given up", why="the settings have no such target any more", notices=lost)
        self._serving = [asyncio.create_task(self._served(target)) for target in self._targets]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what can be delivered at once; everything else waits for the next start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._changed.wait_for(lambda: len(self._resting) == len(self._serving))
        tasks = [*self._serving, *self._carrying]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for target in self._targets:
            await target.courier.close()
        if lost := self._outbox.lost():
            log.warning("notices lost", why="without [memory] they end with the process", notices=lost)

    def _take(self, letters: Sequence[Letter]) -> None:
        for letter in self._outbox.put(letters) if letters else ():
            self.counts[letter.event, GIVEN_UP] += 1
            log.warning("notice given up", notice=letter.event, to=letter.target, why="too many wait already")
        for name in {letter.target for letter in letters}:
            self._resting.discard(name)
            self._wakes[name].set()

    def _wake_all(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    async def _served(self, target: Target) -> None:
        """Serve a target for ever; a bug delays it by a minute."""
        while True:
            try:
                await self._serve(target)
            except Exception:
                log.exception("notices stuck", to=target.name)
                await self._rest(target, None, LOOK_S)

    async def _serve(self, target: Target) -> None:
        """Deliver what is due to one target, a few at a time."""
        wake, failures = self._wakes[target.name], 0
        while True:
            wake.clear()
            now = self._now()
            try:
                most = 1 if failures else target.courier.at_once
                found = await self._outbox.waiting(target.name, now, most)
            except Unreachable as away:
                self._unreachable(away)
                await self._rest(target, None, AWAY_S)
                continue
            self._away = False
            if not found.letters:
                due = found.next_due
                await self._rest(target, wake, LOOK_S if due is None else min(max(due - now, 0.01), LOOK_S))
                continue
            answers = await self._carry_all(target, found.letters)
            tired = [answer for answer in answers if isinstance(answer, Later)]
            failures = failures + 1 if len(tired) == len(answers) else 0
            if failures:
                asked_s = max(answer.asked_s or 0.0 for answer in tired)
                await self._rest(target, None, pause_s(failures, asked_s))

    async def _rest(self, target: Target, wake: asyncio.Event | None, seconds: float) -> None:
        """Wait for new deliveries or for this long."""
        self._resting.add(target.name)
        self._changed.notify_all()
        try:
            async with asyncio.timeout(seconds):
                await (wake or asyncio.Event()).wait()
        except TimeoutError:
            pass
        self._resting.discard(target.name)

    async def _carry_all(self, target: Target, letters: Sequence[Letter]) -> list[Answer]:
        under_way = [asyncio.create_task(self._carry(target, letter)) for letter in letters]
        self._carrying.update(under_way)
        await asyncio.wait(under_way)
        self._carrying.difference_update(under_way)
        return [task.result() for task in under_way]

    async def _carry(self, target: Target, letter: Letter) -> Answer:
        """Attempt one delivery and store the outcome."""
        answer: Answer
        try:
            answer = await target.courier.deliver(letter)
        except Exception:
            log.exception("notice not told", notice=letter.event, to=letter.target)
            answer = Later("a fault of our own")
        self._settle(replace(letter, tries=letter.tries + 1), answer)
        return answer

    def _settle(self, letter: Letter, answer: Answer) -> None:
        call = letter.payload["data"].get("call")
        said = log.bind(call=call) if call else log
        said = said.bind(notice=letter.event, to=letter.target, tries=letter.tries)
        match answer:
            case Delivered(how):
                self._outbox.done(letter)
                self.counts[letter.event, DONE] += 1
                said.info("told", how=how)
            case Later(why, asked_s):
                after_s = again_after_s(letter.tries, asked_s, self._uniform)
                if after_s is None:
                    return self._give_up(letter, f"tried for days; the last time: {why}", said)
                self._outbox.later(letter, self._now() + after_s, why)
                self.counts[letter.event, LATER] += 1
                said.warning("not told yet", why=why, again_in_s=round(after_s))
            case GivenUp(why):
                self._give_up(letter, why, said)
            case _:
                assert_never(answer)

    def _give_up(self, letter: Letter, why: str, said: structlog.stdlib.BoundLogger) -> None:
        self._outbox.given_up(letter, why)
        self.counts[letter.event, GIVEN_UP] += 1
        said.warning("notice given up", why=why)

    def _unreachable(self, away: Unreachable) -> None:
        if not self._away:
            self._away = True
            log.warning("notices wait: what is kept cannot be read", why=str(away))
