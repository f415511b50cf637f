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
from screening.notices.channel import Delivered, GivenUp, Later, Outcome
from screening.notices.delivery import Delivery, Outbox, OutboxUnavailable
from screening.notices.notice import Budget, Record, Shutdown
from screening.notices.retry_schedule import pause_s, retry_delay_s
from screening.notices.target import (
    Target,
    deliveries_for_budget,
    deliveries_for_call,
    deliveries_for_shutdown,
)

log = structlog.get_logger("screendoor")

POLL_S = 60.0
"""How often the outbox is polled: the wall clock may be set, and another process sharing the outbox may have
added deliveries.
"""
UNAVAILABLE_POLL_S = 5.0
"""Interval between attempts to read an unavailable outbox."""
CLOSE_TIMEOUT_S = 5.0
"""How long shutdown waits for deliveries in progress."""
DONE, LATER, GIVEN_UP = "done", "later", "given up"
"""Metric labels for the results of attempts."""


class Dispatcher:
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
        self._wake_events = {target.name: asyncio.Event() for target in targets}
        self._idle_targets: set[str] = set()
        self._changed = Condition()
        self._delivering: set[asyncio.Task[Outcome]] = set()
        self._serving: list[asyncio.Task[None]] = []
        self._outage_logged = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def finished(self, record: Record, wait_s: float = 0.0) -> None:
        """Send the notices of a call that ended; returns at once.

        If a voicemail's transcript is still to come, targets that want it are notified when this is called
        again, or after `wait_s`.
        """
        self._enqueue(deliveries_for_call(self._targets, record, self._now(), wait_s))

    def budget(self, budget: Budget) -> None:
        """Send a budget warning; returns at once. A stored outbox sends each warning once a day."""
        self._enqueue(deliveries_for_budget(self._targets, budget, self._now()))

    def shutdown(self, shutdown: Shutdown) -> None:
        """Send a notice of a model's shutdown; returns at once. A stored outbox sends one for each stage."""
        self._enqueue(deliveries_for_shutdown(self._targets, shutdown, self._now()))

    def wake(self) -> None:
        """Check the outbox now, because something was added to it. Thread-safe."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            lost = await self._outbox.abandon([target.name for target in self._targets])
        except OutboxUnavailable as away:
            self._log_unavailable(away)
        else:
            if lost:
                log.warning("notices given up", why="the settings have no such target any more", notices=lost)
        self._serving = [asyncio.create_task(self._serve_forever(target)) for target in self._targets]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what can be delivered at once; everything else waits for the next start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._changed.wait_for(lambda: len(self._idle_targets) == len(self._serving))
        tasks = [*self._serving, *self._delivering]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for target in self._targets:
            await target.channel.close()
        if lost := self._outbox.unsaved():
            log.warning("notices lost", why="without [memory] they end with the process", notices=lost)

    def _enqueue(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in self._outbox.put(deliveries) if deliveries else ():
            self.counts[delivery.event, GIVEN_UP] += 1
            log.warning(
                "notice given up", notice=delivery.event, to=delivery.target, why="too many wait already"
            )
        for name in {delivery.target for delivery in deliveries}:
            self._idle_targets.discard(name)
            self._wake_events[name].set()

    def _wake_all(self) -> None:
        for wake in self._wake_events.values():
            wake.set()

    async def _serve_forever(self, target: Target) -> None:
        """Serve a target for ever; a bug delays it by a minute."""
        while True:
            try:
                await self._serve(target)
            except Exception:
                log.exception("notices stuck", to=target.name)
                await self._pause(target, None, POLL_S)

    async def _serve(self, target: Target) -> None:
        """Deliver what is due to one target, a few at a time."""
        wake, failures = self._wake_events[target.name], 0
        while True:
            wake.clear()
            now = self._now()
            try:
                limit = 1 if failures else target.channel.concurrency
                found = await self._outbox.take_due(target.name, now, limit)
            except OutboxUnavailable as away:
                self._log_unavailable(away)
                await self._pause(target, None, UNAVAILABLE_POLL_S)
                continue
            self._outage_logged = False
            if not found.deliveries:
                due = found.next_due
                await self._pause(target, wake, POLL_S if due is None else min(max(due - now, 0.01), POLL_S))
                continue
            outcomes = await self._deliver_all(target, found.deliveries)
            retried = [outcome for outcome in outcomes if isinstance(outcome, Later)]
            failures = failures + 1 if len(retried) == len(outcomes) else 0
            if failures:
                retry_after_s = max(outcome.retry_after_s or 0.0 for outcome in retried)
                await self._pause(target, None, pause_s(failures, retry_after_s))

    async def _pause(self, target: Target, wake: asyncio.Event | None, seconds: float) -> None:
        """Wait for new deliveries or for this long."""
        self._idle_targets.add(target.name)
        self._changed.notify_all()
        try:
            async with asyncio.timeout(seconds):
                await (wake or asyncio.Event()).wait()
        except TimeoutError:
            pass
        self._idle_targets.discard(target.name)

    async def _deliver_all(self, target: Target, deliveries: Sequence[Delivery]) -> list[Outcome]:
        under_way = [asyncio.create_task(self._deliver(target, delivery)) for delivery in deliveries]
        self._delivering.update(under_way)
        await asyncio.wait(under_way)
        self._delivering.difference_update(under_way)
        return [task.result() for task in under_way]

    async def _deliver(self, target: Target, delivery: Delivery) -> Outcome:
        """Attempt one delivery and store the outcome."""
        outcome: Outcome
        try:
            outcome = await target.channel.deliver(delivery)
        except Exception:
            log.exception("notice not told", notice=delivery.event, to=delivery.target)
            outcome = Later("a fault of our own")
        self._record_outcome(replace(delivery, tries=delivery.tries + 1), outcome)
        return outcome

    def _record_outcome(self, delivery: Delivery, outcome: Outcome) -> None:
        call = delivery.payload["data"].get("call")
        call_log = log.bind(call=call) if call else log
        call_log = call_log.bind(notice=delivery.event, to=delivery.target, tries=delivery.tries)
        match outcome:
            case Delivered(how):
                self._outbox.done(delivery)
                self.counts[delivery.event, DONE] += 1
                call_log.info("notice delivered", how=how)
            case Later(why, retry_after_s):
                after_s = retry_delay_s(delivery.tries, retry_after_s, self._uniform)
                if after_s is None:
                    return self._give_up(delivery, f"tried for days; the last time: {why}", call_log)
                self._outbox.retry(delivery, self._now() + after_s, why)
                self.counts[delivery.event, LATER] += 1
                call_log.warning("notice not delivered yet", why=why, again_in_s=round(after_s))
            case GivenUp(why):
                self._give_up(delivery, why, call_log)
            case _:
                assert_never(outcome)

    def _give_up(self, delivery: Delivery, why: str, call_log: structlog.stdlib.BoundLogger) -> None:
        self._outbox.given_up(delivery, why)
        self.counts[delivery.event, GIVEN_UP] += 1
        call_log.warning("notice given up", why=why)

    def _log_unavailable(self, away: OutboxUnavailable) -> None:
        if not self._outage_logged:
            self._outage_logged = True
            log.warning("notices wait: the database cannot be read", why=str(away))
