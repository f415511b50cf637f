"""Reads names and numbers from vCards (RFC 6350, RFC 2426, and vCard 2.1 as old phones write it).

A truncated or broken card spoils no other.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

RawContact = tuple[int, str, tuple[str, ...], str | None]
"""The line it begins on, the name, the numbers, and the fault that makes it unreadable."""

_PROPERTY = re.compile(r'(?:[\w-]+\.)?([A-Za-z][\w-]*)((?:;(?:[^":;]|"[^"]*")*)*):(.*)', re.DOTALL)
_CHARSET = re.compile(r"charset=([\w-]+)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")
_NO_VOICE = re.compile(r"\b(fax|pager)\b", re.IGNORECASE)
_UNFINISHED_CARD = "a card that does not end"
_NAMES = ("FN", "N", "ORG", "NICKNAME")
MAX_LINES = 5000
"""Lines of one card that are read: pictures are long."""


def read_cards(text: str) -> Iterator[RawContact]:
    """Yield the cards of a file; never raises."""
    began, card = 0, list[str]()
    for line_number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        word = line.strip().upper()
        if word == "BEGIN:VCARD":
            if began:
                yield began, "", (), _UNFINISHED_CARD
            began, card = line_number, []
        elif word == "END:VCARD" and began:
            yield _read(began, card)
            began = 0
        elif began and len(card) < MAX_LINES:
            card.append(line)
        elif not began and word:
            yield line_number, "", (), "text outside a card"
    if began:
        yield began, "", (), _UNFINISHED_CARD


def _read(line_number: int, card: Sequence[str]) -> RawContact:
    names: dict[str, str] = {}
    numbers: list[str] = []
    for line in _unfolded(card):
        said = _PROPERTY.fullmatch(line)
        if said is None:
            if line.strip() and not numbers and not names:
                return line_number, "", (), "a card with a line that is not a property"
            continue
        name, parameters, value = said[1].upper(), said[2], said[3]
        if name == "TEL" and not _NO_VOICE.search(parameters):
            numbers.append(_number(_value(parameters, value)))
        elif name in _NAMES:
            names.setdefault(name, _name(name, _value(parameters, value)))
    shown = next((names[each] for each in _NAMES if names.get(each)), "")
    return line_number, shown, tuple(each for each in numbers if each), None


def _unfolded(card: Sequence[str]) -> Iterator[str]:
    """Unfold lines (RFC 6350 §3.2), and join quoted-printable soft line breaks."""
    whole, quoted = "", False
    for line in card:
        if quoted and whole.endswith("="):
            whole = whole[:-1] + line.lstrip()
        elif line[:1] in (" ", "\t"):
            whole += line[1:]
        else:
            if whole:
                yield whole
            whole, quoted = line, "QUOTED-PRINTABLE" in line.partition(":")[0].upper()
    if whole:
        yield whole


def _value(parameters: str, value: str) -> str:
    if "QUOTED-PRINTABLE" not in parameters.upper():
        return value
    named = _CHARSET.search(parameters)
    encoded = quopri.decodestring(value.encode("utf-8", "replace"))
    try:
        return encoded.decode(named[1] if named else "utf-8", "replace")
    except LookupError:  # unknown character set
        return encoded.decode("utf-8", "replace")


def _number(value: str) -> str:
    """Parse a TEL value: text, or a tel URI with parameters (RFC 3966)."""
    if value.lower().startswith("tel:"):
        return unquote(value[4:].partition(";")[0]).strip()
    return _ESCAPED.sub(r"\1", value).strip()


def _name(kind: str, value: str) -> str:
    """Return a name on one line; N is structured, family name first (RFC 6350 §6.2.2)."""
    parts = [" ".join(_ESCAPED.sub(r"\1", each).split()) for each in re.split(r"(?<!\\);", value)]
    if kind == "N":
        family, given = parts[0], parts[1] if len(parts) > 1 else ""
        return f"{given} {family}".strip()
    return " ".join(each for each in parts if each)
