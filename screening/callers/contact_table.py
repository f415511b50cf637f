"""Reads contacts from CSV, as exported by Google, Outlook, Apple and spreadsheets, or written by hand.

Columns are identified by the titles in the first line, or without titles by their content. A quoted field may
span lines; an unclosed quotation mark spoils only its own row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

RawContact = tuple[int, str, tuple[str, ...], str | None]
"""The line it begins on, the name, the numbers, and the fault that makes it unreadable."""

MAX_LINES = 40
"""Maximum lines of one row."""
LONGEST_LINE = 100_000
_NUMBER_TITLE = re.compile(
    r"phone|mobil|\btel|\bcell\b|telefon|rufnr|handy|portable|m[oó]vil|celular|cellulare|\bgsm\b"
    r"|number|nummer|n[uú]mero|numéro",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"type|label|kind|count|fax|pager|id\b|street|house|customer|client|kunde|account|order|member|invoice",
    re.IGNORECASE,
)
_NAMES = (
    "name", "nom", "nombre", "nome", "naam",
    "full name", "display name", "displayname", "fn", "file as", "contact", "kontakt", "contacto", "contatto",
    "anzeigename", "nom complet", "nombre completo", "nome completo",
)  # fmt: skip
_AMBIGUOUS_NAMES = _NAMES[:5]
"""Next to a column of given names alone these hold the family name, and the other way round."""
_GIVEN = (
    "first name", "given name", "firstname", "givenname", "middle name",
    "vorname", "prénom", "prenom", "voornaam",
)  # fmt: skip
_FAMILY = (
    "last name", "family name", "lastname", "familyname", "surname",
    "nachname", "familienname", "nom de famille", "apellido", "apellidos",
    "cognome", "sobrenome", "achternaam",
)  # fmt: skip
_FIRMS = ("organization name", "organization", "company", "organisation", "firm", "firma")
_SEPARATOR_LINE = re.compile(r"\A\s*sep=[,;\t][ \t]*(?=[\r\n])", re.IGNORECASE)
"""A first line that only tells spreadsheets the separator."""
_LOOKS_DIALLED = re.compile(r"\s*(?:tel:)?\+?[\d(][\d\s().\-/]{4,24}\s*")
_MULTI_VALUE = re.compile(r"\s*:::\s*|[;\n|]")


def read_table(text: str) -> Iterator[RawContact]:
    """Yield the rows; never raises."""
    delimiter = _delimiter(text)
    text = _SEPARATOR_LINE.sub("", text)
    columns: _Columns | None = None
    for line_number, cells, fault in _rows(text, delimiter):
        if fault is not None:
            yield line_number, "", (), fault
        elif columns is None and not any(map(_LOOKS_DIALLED.fullmatch, cells)) and any(cells):
            columns = _Columns(cells)
            if not columns.numbers:
                yield line_number, "", (), "no column that is called phone or number"
                return
        else:
            columns = columns or _Columns(())
            if any(cells):
                yield line_number, *columns.of(cells), None


class _Columns:
    """The columns that hold the name and the numbers."""

    def __init__(self, titles: Sequence[str]) -> None:
        known = [" ".join(each.lower().split()) for each in titles]
        self.titled = bool(titles)
        self.numbers = [
            i for i, each in enumerate(known) if _NUMBER_TITLE.search(each) and not _NOT_A_PHONE.search(each)
        ]
        whole, given, family, firms = (
            [i for i, each in enumerate(known) if each in some] for some in (_NAMES, _GIVEN, _FAMILY, _FIRMS)
        )
        if whole and known[whole[0]] in _AMBIGUOUS_NAMES and bool(given) != bool(family):
            given, whole = [*given, whole[0]], []
        self._names = (whole[:1], [*given, *family], firms[:1])

    def of(self, cells: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        if not self.titled:
            numbers = [each for each in cells if _LOOKS_DIALLED.fullmatch(each)]
            # If nothing looks like a number, try every cell but the name, so that it is reported as bad.
            tried = numbers or [each for each in cells[1:] if each] or [each for each in cells if each]
            name = next((each for each in cells if each and each not in tried), "")
        else:
            tried = [cells[i] for i in self.numbers if i < len(cells) and cells[i]]
            names = (" ".join(cells[i] for i in each if i < len(cells) and cells[i]) for each in self._names)
            name = next((each for each in names if each), "")
        split = [part.strip() for each in tried for part in _MULTI_VALUE.split(each)]
        return name, tuple(part.removeprefix("tel:") for part in split if part)


def _delimiter(text: str) -> str:
    first = text[:LONGEST_LINE].lstrip().partition("\n")[0]
    return max(",;\t", key=first.count)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield line number, cells and fault of each row."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line_number, width = 0, 0
    while line_number < len(lines):
        cells = _cells(lines[line_number], delimiter)
        taken = 1
        if cells is None and '"' in lines[line_number]:
            cells, taken = _multiline_row(lines[line_number : line_number + MAX_LINES], delimiter, width)
        if cells is None:
            yield line_number + 1, [], _fault(lines[line_number])
        elif any(cells):
            width = width or len(cells)
            yield line_number + 1, cells, None
        line_number += taken


def _fault(line: str) -> str:
    return "a quotation mark that is not closed" if len(line) <= LONGEST_LINE else "too long for a row"


def _multiline_row(lines: Sequence[str], delimiter: str, width: int) -> tuple[list[str] | None, int]:
    """Return a row that spans lines and the number of its lines, or None and 1 if it does not.

    If it would swallow a line that is a complete row by itself, it counts as unclosed.
    """
    for end in range(2, len(lines) + 1):
        last = lines[end - 1]
        if last.count('"') % 2 == 0 and len(_cells(last, delimiter) or ()) == width > 1:
            return None, 1
        cells = _cells("\n".join(lines[:end]), delimiter)
        if cells is not None:
            return (cells, end) if width in (0, len(cells)) else (None, 1)
    return None, 1


def _cells(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of one row; None if it is not one."""
    if len(text) > LONGEST_LINE:
        return None
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return [cell.strip() for cell in rows[0]] if rows else []
