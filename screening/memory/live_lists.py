"""In-memory copy of the database's lists for the screening policies, reloaded after a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy import Connection, select

from screening.callers.contacts import Contacts
from screening.callers.expected import Expectation, ExpectationList
from screening.callers.number_list import NumberList
from screening.contract import Caller
from screening.memory import lists
from screening.memory.schema import entries

log = structlog.get_logger("screendoor")

LOOK_EVERY_S = 2.0
"""How often to check for a change made here or by another process."""
_AT_ONCE = 500
"""Rows read before yielding the GIL to other threads."""
_NEVER, _EVER = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
_Of = str | None
"""The dialed number; None: any."""
Later = Callable[[Callable[[Connection], object]], None]


class LiveExpectedCalls:
    """Expected calls (implements `callers.expected.ExpectedCalls`), with expiry and remaining counts."""

    def __init__(self, later: Later | None) -> None:
        """`later` queues a write of the remaining count; None: counts are not stored."""
        self._now, self._later = ExpectationList(), later

    def become(self, expected: ExpectationList) -> None:
        """Replace the expectations."""
        self._now = expected

    def find_number(self, number: str, caller: Caller) -> Expectation | None:
        """The expectation for exactly this number."""
        return self._now.find_number(number, caller)

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        """The expectation that this call meets."""
        return self._now.find(number, caller)

    def use_up(self, expectation: Expectation) -> None:
        """Count an expected call: at once in memory, and in the database so that it survives a restart."""
        self._now.use_up(expectation)
        if self._later is not None and expectation.entry_id is not None and expectation.calls is not None:
            self._later(partial(lists.came, place=expectation.entry_id, left=expectation.calls - 1))


class LiveLists:
    """Lists handed to policies and updated in place; `look` runs in the memory's thread."""

    def __init__(self, wall_clock: Callable[[], datetime], later: Later | None = None) -> None:
        """`later` queues a database write, as `Memory.later` does."""
        self._wall_clock = wall_clock
        self._numbers: list[_Numbers] = []
        self._contacts: list[_Contacts] = []
        self._made: Mapping[tuple[_Of, str], NumberList] = {}
        self._books: Mapping[_Of, Contacts] = {}
        self.expecting = LiveExpectedCalls(later)
        """For all dialed numbers."""
        self._seen = -1
        self._read_at, self._until = _NEVER, _EVER
        """When the lists were read, and when the first of their entries expires."""

    def numbers(self, which: str, dialed: str, own: Iterable[NumberList]) -> Sequence[NumberList]:
        """A list that starts with `own` and is kept up to date with the database's entries for `dialed`."""
        held = _Numbers(which, dialed, tuple(own), [*own])
        self._numbers.append(held)
        self._hand_out()
        return held.held

    def contacts(self, dialed: str, own: Iterable[Contacts]) -> Sequence[Contacts]:
        """The same for contacts."""
        held = _Contacts(dialed, tuple(own), [*own])
        self._contacts.append(held)
        self._hand_out()
        return held.held

    def look(self, connection: Connection) -> None:
        """Reload the lists if they have changed, an entry has expired, or the clock was set back."""
        revision = lists.revision(connection)
        now = self._wall_clock()
        if revision != self._seen or not self._read_at <= now < self._until:
            found = self._read(connection, now)
            if self._seen >= 0 and revision != self._seen:
                log.info("lists read again", entries=found)
            self._seen = revision

    def _read(self, connection: Connection, now: datetime) -> int:
        texts: dict[tuple[_Of, str], list[str]] = {}
        names: dict[_Of, dict[str, str]] = {}
        expected: list[Expectation] = []
        ends: list[datetime] = []
        holds = entries.c.until.is_(None) | (entries.c.until > now)
        of = entries.c
        columns = (of.list, of.number, of.name, of.dialed, of.until, of.calls, of.id)
        count = 0
        for rows in connection.execute(select(*columns).where(holds)).partitions(_AT_ONCE):
            time.sleep(0)
            count += len(rows)
            for which, number, name, dialed, until, calls, place in rows:
                if which == lists.EXPECTED:
                    whose = None if number == lists.ANYBODY else number
                    expected.append(Expectation(whose, dialed, until, calls, place))
                    continue
                if until is not None:
                    ends.append(until)
                if which == lists.CONTACT:
                    names.setdefault(dialed, {})[number] = name or ""
                else:
                    texts.setdefault((dialed, which), []).append(number)
        self._made = {key: _list(numbers) for key, numbers in texts.items()}
        self._books = {dialed: Contacts(each) for dialed, each in names.items()}
        self._hand_out()
        self.expecting.become(ExpectationList(expected))
        self._read_at, self._until = now, min(ends, default=_EVER)
        return count

    def _hand_out(self) -> None:
        """Update the lists in place. Empty ones are left out, since looking into them costs time."""
        made, books = self._made, self._books
        for each in self._numbers:
            keys = ((each.dialed, each.which), (None, each.which))
            each.held[:] = [*each.own, *(made[key] for key in keys if key in made)]
        for book in self._contacts:
            book.held[:] = [*book.own, *(books[of] for of in (book.dialed, None) if of in books)]


@dataclass(frozen=True, slots=True)
class _Numbers:
    which: str
    dialed: str
    own: tuple[NumberList, ...]
    held: list[NumberList]


@dataclass(frozen=True, slots=True)
class _Contacts:
    dialed: str
    own: tuple[Contacts, ...]
    held: list[Contacts]


def _list(texts: Sequence[str]) -> NumberList:
    """Make a list, leaving out invalid entries: they appear only if the table was edited by hand."""
    try:
        return NumberList(texts)
    except ValueError:
        good = [text for text in texts if _is_entry(text)]
        log.warning("entries left out", why="no number and no pattern", entries=len(texts) - len(good))
        return NumberList(good)


def _is_entry(text: str) -> bool:
    try:
        NumberList([text])
    except ValueError:
        return False
    return True
