"""One ``[[notify]]``: who is told, of what, and how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from screening.notices.channel import Courier
from screening.notices.delivery import Letter
from screening.notices.notice import Budget, Event, Notice, Record, of_budget, of_call, short

ALL_EVENTS = frozenset((Event.SCREENED, Event.MISSED, Event.VOICEMAIL, Event.BUDGET))


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who is told."""

    name: str
    courier: Courier
    events: frozenset[Event] = ALL_EVENTS
    numbers: frozenset[str] = frozenset()
    """Dialled numbers that it is for; empty for all."""
    transcript: bool = False
    """Whether it gets what callers said."""
    one_a_call: bool = False
    """A person is told once of a call: the most telling of what there is to tell."""
    link: str | None = None
    """Where more is to be seen, ``{call}`` standing for the name of the call."""

    def wants(self, notice: Notice) -> bool:
        of_its_numbers = not self.numbers or notice.dialed is None or notice.dialed in self.numbers
        return of_its_numbers and notice.event in self.events

    def letter(self, notice: Notice, now: float, wait_s: float = 0.0) -> Letter:
        """What is sent to it: at once, but for the words of a message, which may have to be waited for."""
        payload = notice.payload()
        waits = self.transcript and notice.event is Event.VOICEMAIL
        due = now + wait_s if waits else now
        call = payload["data"].get("call")
        if self.link is not None and call:
            payload["data"]["link"] = self.link.replace("{call}", call)
        return Letter(f"{notice.id}-{short(self.name)[:8]}", notice.event.value, self.name, payload, now, due)


def letters_of_call(
    targets: Sequence[Target], record: Record, now: float, wait_s: float = 0.0
) -> list[Letter]:
    """What is sent to whom when a call is over."""
    told: Callable[[bool], list[Notice]] = cache(lambda words: of_call(record, words=words))
    found = []
    for target in targets:
        wanted = [notice for notice in told(target.transcript) if target.wants(notice)]
        found += [
            target.letter(notice, now, wait_s) for notice in (wanted[-1:] if target.one_a_call else wanted)
        ]
    return found


def letters_of_budget(targets: Sequence[Target], budget: Budget, now: float) -> list[Letter]:
    """What is sent to whom when a limit comes near, or is reached."""
    notice = of_budget(budget, datetime.fromtimestamp(now, UTC))
    return [target.letter(notice, now) for target in targets if target.wants(notice)]
