"""Targets: one ``[[notify]]`` each, with the events it wants and how much detail it gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from screening.notices.channel import Channel
from screening.notices.delivery import Delivery
from screening.notices.notice import (
    Budget,
    Event,
    Notice,
    Record,
    Shutdown,
    budget_notice,
    call_notices,
    digest,
    shutdown_notice,
)

ALL_EVENTS = frozenset((Event.SCREENED, Event.MISSED, Event.VOICEMAIL, Event.BUDGET, Event.MODEL))


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver of notices."""

    name: str
    channel: Channel
    events: frozenset[Event] = ALL_EVENTS
    numbers: frozenset[str] = frozenset()
    """Dialed numbers it is for; empty: all."""
    transcript: bool = False
    """Whether it receives transcripts."""
    one_per_call: bool = False
    """Send only the most important notice of a call, for people."""
    link: str | None = None
    """Template of a link to more detail; ``{call}`` is replaced by the call id."""

    def wants(self, notice: Notice) -> bool:
        of_its_numbers = not self.numbers or notice.dialed is None or notice.dialed in self.numbers
        return of_its_numbers and notice.event in self.events

    def delivery(self, notice: Notice, now: float, wait_s: float = 0.0) -> Delivery:
        """A notice addressed to this target.

        Voicemails wait up to `wait_s` for the transcript if it wants it.
        """
        payload = notice.payload()
        waits = self.transcript and notice.event is Event.VOICEMAIL
        due = now + wait_s if waits else now
        call = payload["data"].get("call")
        if self.link is not None and call:
            payload["data"]["link"] = self.link.replace("{call}", call)
        return Delivery(
            f"{notice.id}-{digest(self.name)[:8]}", notice.event.value, self.name, payload, now, due
        )


def deliveries_for_call(
    targets: Sequence[Target], record: Record, now: float, wait_s: float = 0.0
) -> list[Delivery]:
    """Deliveries for a call that ended, to all targets."""
    notices_of: Callable[[bool], list[Notice]] = cache(
        lambda with_transcript: call_notices(record, with_transcript=with_transcript)
    )
    found = []
    for target in targets:
        wanted = [notice for notice in notices_of(target.transcript) if target.wants(notice)]
        found += [
            target.delivery(notice, now, wait_s)
            for notice in (wanted[-1:] if target.one_per_call else wanted)
        ]
    return found


def deliveries_for_budget(targets: Sequence[Target], budget: Budget, now: float) -> list[Delivery]:
    """Deliveries for a budget warning, to all targets."""
    return _deliveries(targets, budget_notice(budget, datetime.fromtimestamp(now, UTC)), now)


def deliveries_for_shutdown(targets: Sequence[Target], shutdown: Shutdown, now: float) -> list[Delivery]:
    """Deliveries for the shutdown of a model, to all targets."""
    return _deliveries(targets, shutdown_notice(shutdown, datetime.fromtimestamp(now, UTC)), now)


def _deliveries(targets: Sequence[Target], notice: Notice, now: float) -> list[Delivery]:
    return [target.delivery(notice, now) for target in targets if target.wants(notice)]
