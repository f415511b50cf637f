"""Contacts from address book exports, CSV or vCard, read as far as possible."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from screening.callers.contact_table import read_table
from screening.callers.numbering import e164
from screening.callers.vcard import read_cards

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a contact file, as written there."""

    line_number: int
    """The line it begins on, counted from 1."""
    name: str
    numbers: tuple[str, ...] = ()
    fault: str | None = None
    """Why it cannot be read; None if it can."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was skipped, in whole or for one number; shows neither name nor number."""

    line_number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line_number}: {self.reason}"


class Contacts:
    """Names by number in E.164."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = dict(names or {})

    def __contains__(self, number: str) -> bool:
        return number in self._names

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> Iterable[tuple[str, str]]:
        """Return every number with its name."""
        return self._names.items()

    def name(self, number: str) -> str | None:
        """Return the name for a number, empty if the file gives none; None for an unlisted number."""
        return self._names.get(number)


@dataclass(frozen=True, slots=True)
class Import:
    """The result of reading a contact file."""

    contacts: Contacts = field(default_factory=Contacts)
    rows: int = 0
    """Rows with at least one number that is now in `contacts`."""
    without_number: int = 0
    """Rows without any number, which is not an error."""
    bad: tuple[BadRow, ...] = ()


def read(data: bytes, country: str) -> Import:
    """Read the bytes of a CSV or vCard file; never raises.

    `country` (two letters) is assumed for numbers without ``+``. A number that occurs twice keeps its first
    name.
    """
    text, remarks = _decoded(data)
    if "\0" in text:
        return Import(bad=(BadRow(1, "not a text file: neither CSV nor vCard"),))
    reader: Callable[[str], Iterator[Row]] = _cards if _is_vcard(text) else _table
    names: dict[str, str] = {}
    rows = without = 0
    bad = list(remarks)
    for row in reader(text):
        if row.fault is not None:
            bad.append(BadRow(row.line_number, row.fault))
        elif not row.numbers:
            without += 1
        else:
            found = [e164(number, country) for number in row.numbers]
            if None in found:
                bad.append(BadRow(row.line_number, f"not a possible telephone number ({country.upper()})"))
            for number in found:
                if number is not None:
                    names.setdefault(number, row.name[:LONGEST_NAME])
            rows += any(found)
    return Import(Contacts(names), rows, without, tuple(bad))


def _is_vcard(text: str) -> bool:
    return text[:4096].lstrip().upper().startswith("BEGIN:VCARD")


def _table(text: str) -> Iterator[Row]:
    return (Row(*row) for row in read_table(text))


def _cards(text: str) -> Iterator[Row]:
    return (Row(*card) for card in read_cards(text))


def _decoded(data: bytes) -> tuple[str, Iterable[BadRow]]:
    """Decode a file, whatever program wrote it: UTF-8, UTF-16 with a BOM, otherwise Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
        lost = "\ufffd" in text
        return text, [BadRow(1, "not valid UTF-16 throughout: some characters are lost")] if lost else []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line_number = data.count(b"\n", 0, error.start) + 1
        lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
        return "\n".join(map(_line, lines)), [
            BadRow(line_number, "not UTF-8: such lines are read as Windows-1252")
        ]


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
