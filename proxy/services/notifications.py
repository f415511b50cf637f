"""Builds the notice targets and their dispatcher from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from proxy.config import Problem, Settings
from proxy.config.notices import Notify
from proxy.version import VERSION
from screening.notices import apprise_channel, signing
from screening.notices.apprise_channel import AppriseChannel
from screening.notices.channel import Channel, Delivered, Outcome
from screening.notices.delivery import Delivery
from screening.notices.dispatcher import Dispatcher
from screening.notices.memory_outbox import MemoryOutbox
from screening.notices.notice import Event, trial_notice
from screening.notices.target import ALL_EVENTS, Target
from screening.notices.webhook_channel import WebhookChannel

if TYPE_CHECKING:
    from screening.memory.store import Memory

Now = Callable[[], datetime]


def check(settings: Settings, file: str) -> list[Problem]:
    """Problems of the ``[[notify]]`` settings that only the screening can detect."""
    return [
        Problem(file, f"notify[{place}].{key}", expected, "something else")
        for place, one in enumerate(settings.notified)
        for key, expected in _problems(one)
    ]


def _problems(one: Notify) -> Iterator[tuple[str, str]]:
    for i, secret in enumerate(one.secret):
        try:
            signing.key(secret.get_secret_value())
        except ValueError as error:
            yield (f"secret[{i}]" if len(one.secret) > 1 else "secret"), str(error)
    if one.apprise is not None and (wrong := apprise_channel.problem(one.apprise.get_secret_value())):
        yield "apprise", wrong


def dispatcher(
    settings: Settings,
    now: Now,
    uniform: Callable[[float, float], float],
    memory: Memory | None,
    registry: CollectorRegistry,
) -> Dispatcher | None:
    """The dispatcher; None without targets. The memory has not been started yet."""
    built = _dispatcher(settings, now, uniform, memory) if settings.notified else None
    registry.register(NoticeMetrics(built))
    return built


def _dispatcher(
    settings: Settings, now: Now, uniform: Callable[[float, float], float], memory: Memory | None
) -> Dispatcher:
    targets = [target(settings, one, now) for one in settings.notified]
    if memory is None:
        return Dispatcher(targets, MemoryOutbox(), _seconds(now), uniform)
    from screening.notices import (
        interrupted_calls,  # imported here: the database library is slow to import
    )
    from screening.notices.stored_outbox import StoredOutbox

    built = Dispatcher(targets, StoredOutbox(memory), _seconds(now), uniform)
    memory.every(interrupted_calls.POLL_S, interrupted_calls.notifier(targets, _seconds(now), built.wake))
    return built


def target(settings: Settings, one: Notify, now: Now) -> Target:
    """A target, made from its settings."""
    return Target(
        one.name,
        _channel(settings, one, now),
        frozenset(map(Event, one.events)) or ALL_EVENTS,
        frozenset(one.numbers),
        one.transcript,
        one_per_call=one.apprise is not None,
        link=one.link,
    )


def _channel(settings: Settings, one: Notify, now: Now) -> Channel:
    if one.webhook is not None:
        secrets = [secret.get_secret_value() for secret in one.secret]
        agent = f"Screendoor/{VERSION}"
        return WebhookChannel(one.webhook.get_secret_value(), secrets, _seconds(now), agent=agent)
    assert one.apprise is not None, "the settings have one or the other"
    zone = settings.screening.time_zone or UTC
    return AppriseChannel(one.apprise.get_secret_value(), now, zone)


def _seconds(now: Now) -> Callable[[], float]:
    return lambda: now().timestamp()


async def send_tests(settings: Settings, now: Now) -> list[tuple[str, bool, str]]:
    """Send a test notice to every target; returns name, whether it was delivered, and the answer for each."""
    targets = [target(settings, one, now) for one in settings.notified]
    outcomes = await asyncio.gather(*(_send_test(each, now()) for each in targets))
    arrived = [isinstance(outcome, Delivered) for outcome in outcomes]
    said = [outcome.how if isinstance(outcome, Delivered) else outcome.why for outcome in outcomes]
    return list(zip((each.name for each in targets), arrived, said, strict=True))


async def _send_test(target: Target, at: datetime) -> Outcome:
    delivery: Delivery = target.delivery(trial_notice(f"test-{at:%Y%m%dT%H%M%S}", at), at.timestamp())
    try:
        return await target.channel.deliver(delivery)
    finally:
        await target.channel.close()


class NoticeMetrics(Collector):
    """Delivery attempts by event and result."""

    def __init__(self, dispatcher: Dispatcher | None) -> None:
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[CounterMetricFamily]:
        """All series, for a scrape."""
        about = "Tries to tell the user, by event and result"
        family = CounterMetricFamily("screendoor_notices", about, labels=["event", "result"])
        for (event, result), count in (self._dispatcher.counts if self._dispatcher else {}).items():
            family.add_metric([event, result], count)
        yield family
