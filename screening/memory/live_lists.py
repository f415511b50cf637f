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

REFRESH_S = 2.0
"""How often to check for a change made here or by another process."""
_BATCH_SIZE = 500
"""Rows read before yielding the GIL to other threads."""
_MIN, _MAX = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))
_Dialed = str | None
"""The dialed number; None: any."""
Enqueue = Callable[[Callable[[Connection], object]], None]


class LiveExpectedCalls:
    """Expected calls (implements `callers.expected.ExpectedCalls`), with expiry and remaining counts."""

    def __init__(self, enqueue: Enqueue | None) -> None:
        """`enqueue` queues a write of the remaining count; None: counts are not stored."""
        self._expected, self._enqueue = ExpectationList(), enqueue

    def replace(self, expected: ExpectationList) -> None:
        """Replace the expectations."""
        self._expected = expected

    def find_number(self, number: str, caller: Caller) -> Expectation | None:
        """The expectation for exactly this number."""
        return self._expected.find_number(number, caller)

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        """The expectation that this call meets."""
        return self._expected.find(number, caller)

    def use_up(self, expectation: Expectation) -> None:
        """Count an expected call: at once in memory, and in the database so that it survives a restart."""
        self._expected.use_up(expectation)
        if self._enqueue is not None and expectation.entry_id is not None and expectation.calls is not None:
            self._enqueue(
                partial(lists.count_expected, entry_id=expectation.entry_id, left=expectation.calls - 1)
            )


class LiveLists:
    """Lists handed to policies and updated in place; `refresh` runs in the memory's thread."""

    def __init__(self, wall_clock: Callable[[], datetime], enqueue: Enqueue | None = None) -> None:
        """`enqueue` queues a database write, as `Memory.enqueue` does."""
        self._wall_clock = wall_clock
        self._list_views: list[_ListView] = []
        self._contact_views: list[_ContactView] = []
        self._number_lists: Mapping[tuple[_Dialed, str], NumberList] = {}
        self._contact_books: Mapping[_Dialed, Contacts] = {}
        self.expecting = LiveExpectedCalls(enqueue)
        """For all dialed numbers."""
        self._revision = -1
        self._read_at, self._until = _MIN, _MAX
        """When the lists were read, and when the first of their entries expires."""

    def numbers(self, which: str, dialed: str, own: Iterable[NumberList]) -> Sequence[NumberList]:
        """A list that starts with `own` and is kept up to date with the database's entries for `dialed`."""
        view = _ListView(which, dialed, tuple(own), [*own])
        self._list_views.append(view)
        self._update_views()
        return view.items

    def contacts(self, dialed: str, own: Iterable[Contacts]) -> Sequence[Contacts]:
        """The same for contacts."""
        view = _ContactView(dialed, tuple(own), [*own])
        self._contact_views.append(view)
        self._update_views()
        return view.items

    def refresh(self, connection: Connection) -> None:
        """Reload the lists if they have changed, an entry has expired, or the clock was set back."""
        revision = lists.revision(connection)
        now = self._wall_clock()
        if revision != self._revision or not self._read_at <= now < self._until:
            found = self._read(connection, now)
            if self._revision >= 0 and revision != self._revision:
                log.info("lists read again", entries=found)
            self._revision = revision

    def _read(self, connection: Connection, now: datetime) -> int:
        texts: dict[tuple[_Dialed, str], list[str]] = {}
        names: dict[_Dialed, dict[str, str]] = {}
        expected: list[Expectation] = []
        ends: list[datetime] = []
        holds = entries.c.until.is_(None) | (entries.c.until > now)
        column = entries.c
        columns = (
            column.list,
            column.number,
            column.name,
            column.dialed,
            column.until,
            column.calls,
            column.id,
        )
        count = 0
        for rows in connection.execute(select(*columns).where(holds)).partitions(_BATCH_SIZE):
            time.sleep(0)
            count += len(rows)
            for which, number, name, dialed, until, calls, entry_id in rows:
                if which == lists.EXPECTED:
                    expected_number = None if number == lists.ANYBODY else number
                    expected.append(Expectation(expected_number, dialed, until, calls, entry_id))
                    continue
                if until is not None:
                    ends.append(until)
                if which == lists.CONTACT:
                    names.setdefault(dialed, {})[number] = name or ""
                else:
                    texts.setdefault((dialed, which), []).append(number)
        self._number_lists = {key: _number_list(numbers) for key, numbers in texts.items()}
        self._contact_books = {dialed: Contacts(each) for dialed, each in names.items()}
        self._update_views()
        self.expecting.replace(ExpectationList(expected))
        self._read_at, self._until = now, min(ends, default=_MAX)
        return count

    def _update_views(self) -> None:
        """Update the lists in place. Empty ones are left out, since looking into them costs time."""
        made, books = self._number_lists, self._contact_books
        for each in self._list_views:
            keys = ((each.dialed, each.which), (None, each.which))
            each.items[:] = [*each.own, *(made[key] for key in keys if key in made)]
        for book in self._contact_views:
            book.items[:] = [*book.own, *(books[dialed] for dialed in (book.dialed, None) if dialed in books)]


@dataclass(frozen=True, slots=True)
class _ListView:
    which: str
    dialed: str
    own: tuple[NumberList, ...]
    items: list[NumberList]


@dataclass(frozen=True, slots=True)
class _ContactView:
    dialed: str
    own: tuple[Contacts, ...]
    items: list[Contacts]


def _number_list(texts: Sequence[str]) -> NumberList:
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
