"""The user's lists in the database: allow, block, VIP, contacts and expected calls.

These functions run inside the caller's transaction. Running processes see a change within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from screening.callers import number_list
from screening.callers.numbering import e164
from screening.memory.schema import entries, revisions

ALLOW, BLOCK, VIP, CONTACT, EXPECTED = "allow", "block", "vip", "contact", "expected"
LISTS = (ALLOW, BLOCK, VIP, CONTACT, EXPECTED)
ANYBODY = "*"
"""The number of an expectation that any caller meets."""
_ANYBODY_WORDS = (ANYBODY, "anybody")
MAX_CHARS = 200
"""Maximum characters of a name or note; longer ones are cut."""
_LOOKUP_SIZE = 1000
"""Contacts looked up per query."""
BATCH_SIZE = 2000
"""Contacts written per transaction."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A list entry; its number is normalised by `normalized`."""

    list: str
    number: str
    name: str | None = None
    dialed: str | None = None
    """The dialed number it applies to; None: all of them."""
    until: datetime | None = None
    """When it expires; None: never."""
    note: str | None = None
    calls: int | None = None
    """Expected calls still to come; None: not counted."""


def normalized(which: str, text: str, country: str) -> str:
    """Normalise a number for a list. Raises ValueError that says what is expected.

    `country` applies to numbers without ``+``. Contacts and expectations are whole numbers, other lists also
    take patterns.
    """
    if which not in LISTS:
        raise ValueError(f"one of {', '.join(LISTS)}")
    if which == EXPECTED and text.strip().lower() in _ANYBODY_WORDS:
        return ANYBODY
    if which in (CONTACT, EXPECTED):
        if (number := e164(text, country)) is None:
            raise ValueError("a telephone number, such as +14155550100")
        return number
    found = number_list.parse_entry(text, country)
    return text.strip() if isinstance(found, number_list.Range) else found


def put(connection: Connection, entry: Entry, now: datetime, entry_id: int | None = None) -> tuple[int, bool]:
    """Insert or update an entry; returns its id, and whether it is new.

    Updates the entry with id `entry_id`, or else one with the same list, number and dialed number. Raises
    LookupError if `entry_id` is not on that list.
    """
    values = {
        "list": entry.list,
        "number": entry.number,
        "name": entry.name and entry.name[:MAX_CHARS],
        "dialed": entry.dialed,
        "until": entry.until,
        "note": entry.note and entry.note[:MAX_CHARS],
        "calls": entry.calls,
    }
    mark_changed(connection)
    if entry_id is None:
        same = _matching(entry.list, entry.number, entry.dialed)
        entry_id = connection.execute(select(entries.c.id).where(same)).scalars().first()
    elif get_entry(connection, entry_id, entry.list) is None:
        raise LookupError(f"no such entry: {entry_id}")
    if entry_id is not None:
        connection.execute(update(entries).where(entries.c.id == entry_id).values(values))
        return entry_id, False
    made = connection.execute(insert(entries).values(values | {"added": now}).returning(entries.c.id))
    return made.scalar_one(), True


def batches(names: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Split contacts into batches small enough that one transaction does not block other writers for long."""
    left = iter(names)
    while batch := list(islice(left, BATCH_SIZE)):
        yield batch


def put_contacts(
    connection: Connection, names: Iterable[tuple[str, str]], now: datetime, *, tell: bool = True
) -> tuple[int, int]:
    """Insert or rename contacts, given as (E.164 number, name); returns counts of new and of renamed ones.

    Without `tell`, running processes see them only after the next `mark_changed`.
    """
    named = {number: name[:MAX_CHARS] or None for number, name in names}
    numbers = list(named)
    new = renamed = 0
    for start in range(0, len(numbers), _LOOKUP_SIZE):
        batch = {number: named[number] for number in numbers[start : start + _LOOKUP_SIZE]}
        more = _put_contacts(connection, batch, now)
        new, renamed = new + more[0], renamed + more[1]
    if tell and (new or renamed):
        mark_changed(connection)
    return new, renamed


def _put_contacts(connection: Connection, named: Mapping[str, str | None], now: datetime) -> tuple[int, int]:
    common = (entries.c.list == CONTACT) & entries.c.dialed.is_(None) & entries.c.number.in_(list(named))
    kept = connection.execute(select(entries.c.number, entries.c.name).where(common))
    held: dict[str, str | None] = {number: name for number, name in kept}
    new = [
        {"list": CONTACT, "number": number, "name": name, "added": now}
        for number, name in named.items()
        if number not in held
    ]
    renamed = [(number, name) for number, name in named.items() if name and held.get(number, name) != name]
    if new:
        connection.execute(insert(entries), new)
    for number, name in renamed:
        connection.execute(update(entries).where(_matching(CONTACT, number, None)).values(name=name))
    return len(new), len(renamed)


def remove(connection: Connection, entry_id: int, which: str | None = None) -> bool:
    """Delete an entry by id, optionally only from one list; returns whether it existed."""
    found = delete(entries).where(entries.c.id == entry_id)
    if which is not None:
        found = found.where(entries.c.list == which)
    if removed := connection.execute(found).rowcount:
        mark_changed(connection)
    return bool(removed)


def remove_number(connection: Connection, number: str, which: str | None = None) -> int:
    """Delete a number from one list, or from all; returns the number of entries deleted."""
    found = delete(entries).where(entries.c.number == number)
    if which is not None:
        found = found.where(entries.c.list == which)
    if removed := connection.execute(found).rowcount:
        mark_changed(connection)
    return removed


def get_entry(connection: Connection, entry_id: int, which: str | None = None) -> dict[str, Any] | None:
    """An entry by id; None if there is none (on that list)."""
    found = select(entries).where(entries.c.id == entry_id)
    if which is not None:
        found = found.where(entries.c.list == which)
    row = connection.execute(found).mappings().first()
    return dict(row) if row is not None else None


def find_entries(
    connection: Connection,
    which: str | None = None,
    *,
    number: str | None = None,
    after: int | None = None,
    limit: int = 100,
) -> Sequence[Mapping[str, Any]]:
    """Entries, newest first, optionally of one list or number. `after`: the last id of the previous page."""
    found = select(entries).order_by(entries.c.id.desc()).limit(limit)
    if which is not None:
        found = found.where(entries.c.list == which)
    if number is not None:
        found = found.where(entries.c.number == number)
    if after is not None:
        found = found.where(entries.c.id < after)
    return [dict(row) for row in connection.execute(found).mappings()]


def count_expected(connection: Connection, entry_id: int, left: int) -> None:
    """Record that an expected call came and `left` remain. Repeating it is harmless."""
    counted = (entries.c.id == entry_id) & (entries.c.calls > left)
    taken = update(entries).where(counted).values(calls=left) if left > 0 else delete(entries).where(counted)
    if connection.execute(taken).rowcount:
        mark_changed(connection)


def revision(connection: Connection) -> int:
    """The revision of the lists, which every change increments."""
    return int(connection.execute(_REVISION).scalar_one())


_REVISION = select(revisions.c.number).where(revisions.c.name == "entries")


def mark_changed(connection: Connection) -> None:
    """Increment the revision.

    Called before other statements where possible: the row lock serialises writers.
    """
    grown = {"number": revisions.c.number + 1}
    connection.execute(update(revisions).where(revisions.c.name == "entries").values(grown))


def _matching(which: str, number: str, dialed: str | None) -> Any:
    of = entries.c.dialed.is_(None) if dialed is None else entries.c.dialed == dialed
    return (entries.c.list == which) & (entries.c.number == number) & of
