"""The lists that people keep in the database: allowed, blocked, VIPs, contacts, and expected calls.

Everything here is done within a transaction of its caller, and noticed by running processes within seconds.
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
"""The number of an expected call that may come from anybody."""
_ANYBODY = (ANYBODY, "anybody")
LONGEST = 200
"""Characters of a name or a note."""
_AT_ONCE = 1000
"""Contacts that are looked for together."""
PART = 2000
"""Contacts that are written in one transaction."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, with its number as `written` makes it."""

    list: str
    number: str
    name: str | None = None
    dialed: str | None = None
    """The number of ours that it is for; None: all."""
    until: datetime | None = None
    """When it ceases to hold; None: never."""
    note: str | None = None
    calls: int | None = None
    """Of expected ones, how many more; None: all of them."""


def written(which: str, text: str, country: str) -> str:
    """A number as its list keeps it; raises ValueError with what is expected.

    `country` is that of numbers without ``+``. Contacts are whole numbers; the others may be patterns.
    """
    if which not in LISTS:
        raise ValueError(f"one of {', '.join(LISTS)}")
    if which == EXPECTED and text.strip().lower() in _ANYBODY:
        return ANYBODY
    if which in (CONTACT, EXPECTED):
        if (number := e164(text, country)) is None:
            raise ValueError("a telephone number, such as +14155550100")
        return number
    found = number_list.entry(text, country)
    return text.strip() if isinstance(found, number_list.Range) else found


def put(connection: Connection, entry: Entry, now: datetime, place: int | None = None) -> tuple[int, bool]:
    """Keep an entry; returns its id, and whether it is new.

    It takes the `place` (id) that is given, or that of one for the same number; LookupError if there is no
    such place on its list.
    """
    values = {
        "list": entry.list,
        "number": entry.number,
        "name": entry.name and entry.name[:LONGEST],
        "dialed": entry.dialed,
        "until": entry.until,
        "note": entry.note and entry.note[:LONGEST],
        "calls": entry.calls,
    }
    changed(connection)
    if place is None:
        same = _same(entry.list, entry.number, entry.dialed)
        place = connection.execute(select(entries.c.id).where(same)).scalars().first()
    elif one(connection, place, entry.list) is None:
        raise LookupError(f"no such entry: {place}")
    if place is not None:
        connection.execute(update(entries).where(entries.c.id == place).values(values))
        return place, False
    made = connection.execute(insert(entries).values(values | {"added": now}).returning(entries.c.id))
    return made.scalar_one(), True


def in_parts(names: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Contacts as they are best put: so many in one transaction that nobody waits long for it."""
    left = iter(names)
    while part := list(islice(left, PART)):
        yield part


def put_contacts(
    connection: Connection, names: Iterable[tuple[str, str]], now: datetime, *, tell: bool = True
) -> tuple[int, int]:
    """Keep contacts, by number in E.164; returns how many are new, and how many have another name now.

    Without `tell`, running processes notice it at the next `changed`.
    """
    told = {number: name[:LONGEST] or None for number, name in names}
    numbers = list(told)
    new = renamed = 0
    for place in range(0, len(numbers), _AT_ONCE):
        part = {number: told[number] for number in numbers[place : place + _AT_ONCE]}
        more = _put_contacts(connection, part, now)
        new, renamed = new + more[0], renamed + more[1]
    if tell and (new or renamed):
        changed(connection)
    return new, renamed


def _put_contacts(connection: Connection, told: Mapping[str, str | None], now: datetime) -> tuple[int, int]:
    common = (entries.c.list == CONTACT) & entries.c.dialed.is_(None) & entries.c.number.in_(list(told))
    kept = connection.execute(select(entries.c.number, entries.c.name).where(common))
    held: dict[str, str | None] = {number: name for number, name in kept}
    new = [
        {"list": CONTACT, "number": number, "name": name, "added": now}
        for number, name in told.items()
        if number not in held
    ]
    renamed = [(number, name) for number, name in told.items() if name and held.get(number, name) != name]
    if new:
        connection.execute(insert(entries), new)
    for number, name in renamed:
        connection.execute(update(entries).where(_same(CONTACT, number, None)).values(name=name))
    return len(new), len(renamed)


def remove(connection: Connection, place: int, which: str | None = None) -> bool:
    """Take away one entry (of that list); whether it was there."""
    found = delete(entries).where(entries.c.id == place)
    if which is not None:
        found = found.where(entries.c.list == which)
    if removed := connection.execute(found).rowcount:
        changed(connection)
    return bool(removed)


def remove_number(connection: Connection, number: str, which: str | None = None) -> int:
    """Take a number off that list, or off all; returns how many entries there were."""
    found = delete(entries).where(entries.c.number == number)
    if which is not None:
        found = found.where(entries.c.list == which)
    if removed := connection.execute(found).rowcount:
        changed(connection)
    return removed


def one(connection: Connection, place: int, which: str | None = None) -> dict[str, Any] | None:
    """One entry by its id; None if there is none (on that list)."""
    found = select(entries).where(entries.c.id == place)
    if which is not None:
        found = found.where(entries.c.list == which)
    row = connection.execute(found).mappings().first()
    return dict(row) if row is not None else None


def listed(
    connection: Connection,
    which: str | None = None,
    *,
    number: str | None = None,
    after: int | None = None,
    limit: int = 100,
) -> Sequence[Mapping[str, Any]]:
    """Entries, the latest first; of that list, of that number. `after`: the id of the last one seen."""
    found = select(entries).order_by(entries.c.id.desc()).limit(limit)
    if which is not None:
        found = found.where(entries.c.list == which)
    if number is not None:
        found = found.where(entries.c.number == number)
    if after is not None:
        found = found.where(entries.c.id < after)
    return [dict(row) for row in connection.execute(found).mappings()]


def came(connection: Connection, place: int, left: int) -> None:
    """One of the expected calls of an entry has come, and so many are left; it may be told twice."""
    counted = (entries.c.id == place) & (entries.c.calls > left)
    taken = update(entries).where(counted).values(calls=left) if left > 0 else delete(entries).where(counted)
    if connection.execute(taken).rowcount:
        changed(connection)


def revision(connection: Connection) -> int:
    """A number that every change of the lists makes larger."""
    return int(connection.execute(_REVISION).scalar_one())


_REVISION = select(revisions.c.number).where(revisions.c.name == "entries")


def changed(connection: Connection) -> None:
    """Have it noticed. First of all, where it can be: who else changes the lists waits for us."""
    grown = {"number": revisions.c.number + 1}
    connection.execute(update(revisions).where(revisions.c.name == "entries").values(grown))


def _same(which: str, number: str, dialed: str | None) -> Any:
    of = entries.c.dialed.is_(None) if dialed is None else entries.c.dialed == dialed
    return (entries.c.list == which) & (entries.c.number == number) & of
