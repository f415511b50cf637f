"""Lists of telephone numbers as people write them: numbers, prefixes, ranges, wildcards.

+1 415 555 0100                  one number; without ``+``, in the list's country
+1900*                           all numbers with this prefix
+14155550100..+14155550199       all numbers of the range, both ends included
+1415555??99, *0000              ``?`` is one digit, ``*`` any number of digits
911, 22000                       a short number
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from screening.callers.numbering import e164
from screening.callers.wildcards import Wildcards

EXPECTED = (
    "a number (+14155550100), a prefix (+1900*), a range (+14155550100..+14155550199) "
    "or a wildcard (+1415555??99)"
)
_RANGE = re.compile(r"(.+\d)\s*\.\.\s*(.+)|(\+.*\d)\s*-\s*(\+.+)")
_SHORT = re.compile(r"\d{2,6}")
_PREFIX = re.compile(r"\+?\d+\*")
_WILD = re.compile(r"(?=.*\d)[+*?][\d*?]*")
_SEPARATORS = str.maketrans("", "", " -.()/")


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers of one length, both ends included."""

    low: int
    high: int
    digits: int


Entry = str | Range
"""A number or pattern, or a range."""


def parse_entry(text: str, country: str) -> Entry:
    """Parse one entry of a list; raises ValueError saying what is expected."""
    if ends := _RANGE.fullmatch(text.strip()):
        return _range(*(each for each in ends.groups() if each), country=country)
    bare = text.translate(_SEPARATORS)
    if "*" in bare or "?" in bare:
        if not _WILD.fullmatch(bare):
            raise ValueError("a pattern of digits, * and ? that begins with +, * or ?, and has a digit")
        return bare
    if _SHORT.fullmatch(bare):
        return bare
    number = e164(text, country)
    if number is None:
        raise ValueError(EXPECTED)
    return number


def _range(first: str, last: str, *, country: str) -> Range:
    low, high = e164(first, country), e164(last, country)
    if low is None or high is None or len(low) != len(high) or low > high:
        raise ValueError("a range from a lower number to a higher one of the same length")
    return Range(int(low[1:]), int(high[1:]), len(low) - 1)


class NumberList:
    """Numbers and patterns; lookup time hardly depends on how many there are."""

    def __init__(self, texts: Iterable[str] = (), country: str = "us") -> None:
        """`country` is assumed for numbers without ``+``. Raises ValueError for an invalid entry."""
        self._numbers: set[str] = set()
        self._prefixes: dict[str, str] = {}
        wild: list[str] = []
        ranges: list[tuple[Range, str]] = []
        for text in texts:
            match found := parse_entry(text, country):
                case Range():
                    ranges.append((found, text))
                case _ if _PREFIX.fullmatch(found):
                    self._prefixes[found[:-1]] = text
                case _ if "*" in found or "?" in found:
                    wild.append(found)
                case _:
                    self._numbers.add(found)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})
        self._wild = Wildcards(wild)
        self._ranges = _merge_ranges(ranges)
        self._patterned = bool(self._lengths or wild or ranges)

    def __contains__(self, number: str) -> bool:
        """Whether the number itself is listed; patterns do not count."""
        return number in self._numbers

    def find_pattern(self, number: str) -> str | None:
        """Return the prefix, range or wildcard that the number matches; None if there is none."""
        for length in self._lengths:
            if (found := self._prefixes.get(number[:length])) is not None:
                return found
        if self._ranges and number.startswith("+") and number[1:].isdecimal():
            lows, highs, texts = self._ranges.get(len(number) - 1, ((), (), ()))
            place = bisect_right(lows, int(number[1:])) - 1
            if place >= 0 and int(number[1:]) <= highs[place]:
                return texts[place]
        return self._wild.find(number) if self._wild else None

    def find(self, number: str) -> str | None:
        """Return the number if it is listed, else the pattern it matches; None for neither."""
        if number in self._numbers:
            return number
        return self.find_pattern(number) if self._patterned else None


_Sorted = tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]


def _merge_ranges(ranges: Iterable[tuple[Range, str]]) -> dict[int, _Sorted]:
    """Return sorted lows, highs and texts by length; overlapping ranges are merged, keeping the
    first's text.
    """
    by_length: dict[int, list[tuple[int, int, str]]] = {}
    for each, text in sorted(ranges, key=lambda pair: pair[0].low):
        line = by_length.setdefault(each.digits, [])
        if line and each.low <= line[-1][1]:
            low, high, first = line[-1]
            line[-1] = (low, max(high, each.high), first)
        else:
            line.append((each.low, each.high, text))
    return {
        digits: (tuple(a for a, _, _ in line), tuple(b for _, b, _ in line), tuple(c for _, _, c in line))
        for digits, line in by_length.items()
    }
