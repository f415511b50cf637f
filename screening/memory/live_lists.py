"""The lists of the database as the rules ask them: held here, and read again after a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy import Connection, select

from screening.callers.contacts import Contacts
from screening.callers.expected import Expectation, Expected
from screening.callers.number_list import NumberList
from screening.contract import Caller
from screening.memory import lists
from screening.memory.schema import entries

log = structlog.get_logger("screendoor")

LOOK_EVERY_S = 2.0
"""How often it is asked whether there was a change, here or by another process."""
_AT_ONCE = 500
"""Rows between which others get the processor."""
_NEVER, _EVER = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
_Of = str | None
"""The number that was called; None: any."""
Later = Callable[[Callable[[Connection], object]], None]


class Expecting:
    """Who is expected, as `callers.expected.Expecting` has it: until its time, and for so many calls."""

    def __init__(self, later: Later | None) -> None:
        """`later` has something written; None: that a call has come is not."""
        self._now, self._later = Expected(), later

    def become(self, expected: Expected) -> None:
        """Have these from now on."""
        self._now = expected

    def number(self, number: str, caller: Caller) -> Expectation | None:
        """What expects this very number."""
        return self._now.number(number, caller)

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        """What expects this call."""
        return self._now.find(number, caller)

    def came(self, expectation: Expectation) -> None:
        """An expected call has come: it counts at once, and is written down, to count after a restart."""
        self._now.came(expectation)
        if self._later is not None and expectation.place is not None and expectation.calls is not None:
            self._later(partial(lists.came, place=expectation.place, left=expectation.calls - 1))


class LiveLists:
    """What the policies of a running process are made with; `look` is for the memory's thread."""

    def __init__(self, wall_clock: Callable[[], datetime], later: Later | None = None) -> None:
        """`later`, as `Memory.later` does, has something written."""
        self._wall_clock = wall_clock
        self._numbers: list[_Numbers] = []
        self._contacts: list[_Contacts] = []
        self._made: Mapping[tuple[_Of, str], NumberList] = {}
        self._books: Mapping[_Of, Contacts] = {}
        self.expecting = Expecting(later)
        """Of all numbers."""
        self._seen = -1
        self._read_at, self._until = _NEVER, _EVER
        """When they were read, and when the first of the entries that are held ceases to hold."""

    def numbers(self, which: str, dialed: str, own: Iterable[NumberList]) -> Sequence[NumberList]:
        """The lists `own`, and behind them from now on what the database has for a number of ours."""
        held = _Numbers(which, dialed, tuple(own), [*own])
        self._numbers.append(held)
        self._hand_out()
        return held.held

    def contacts(self, dialed: str, own: Iterable[Contacts]) -> Sequence[Contacts]:
        """The same with contacts."""
        held = _Contacts(dialed, tuple(own), [*own])
        self._contacts.append(held)
        self._hand_out()
        return held.held

    def look(self, connection: Connection) -> None:
        """Read the lists, if they have changed, or time has passed over an entry, or been set back."""
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
        self.expecting.become(Expected(expected))
        self._read_at, self._until = now, min(ends, default=_EVER)
        return count

    def _hand_out(self) -> None:
        """Put them where they are asked for; no empty ones, for to ask those takes time too."""
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
    """Entries are good, unless somebody has written to the table by himself."""
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
