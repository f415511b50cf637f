"""Telephone numbers: from how people and carriers write them to E.164, and their countries."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

E164 = re.compile(r"\+[1-9]\d{6,14}")
_SEPARATORS = str.maketrans("", "", " -./\u00a0\u2010\u2011\u2013\t")
_OLD_MEXICAN = re.compile(r"\+521(\d{10})")
"""A Mexican mobile as dialled from abroad until 2019, and still found in many contacts."""
_REGIONS_BY_CODE = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
_CACHE_SIZE = 8192
"""Size of the caches of the functions below."""


def e164(text: str, country: str) -> str | None:
    """Convert a number as people write it to E.164; None if it cannot be a number.

    `country` (two letters) is assumed for numbers without ``+``.
    """
    bare = _OLD_MEXICAN.sub(r"+52\1", text.translate(_SEPARATORS))
    parsed = _split(bare) if E164.fullmatch(bare) else None
    # The fast path, for nearly all of a contact file. A leading zero may be a trunk prefix: leave it to
    # `parse`.
    if parsed is not None and not bare.removeprefix(f"+{parsed.country_code}").startswith("0"):
        return bare if phonenumbers.is_possible_number(parsed) else None
    try:
        parsed = phonenumbers.parse(text, country.upper())
    except NumberParseException:
        return None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        parsed.extension = None
        if not phonenumbers.is_possible_number(parsed):
            return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


@lru_cache(_CACHE_SIZE)
def normalize(number: str, country: str) -> str:
    """Convert a caller's number as sent by a carrier to E.164; returned as it is if that is not possible."""
    if number.startswith("+"):
        return _OLD_MEXICAN.sub(r"+52\1", number)
    spelled = (number, f"+{number.removeprefix('00')}")
    possible = [found for each in spelled if (found := e164(each, country))]
    valid = (each for each in possible if phonenumbers.is_valid_number(phonenumbers.parse(each)))
    return next(valid, possible[0] if possible else number)


@lru_cache(_CACHE_SIZE)
def country_of(number: str) -> str | None:
    """Return the two-letter country code of a number in E.164; None if it belongs to no country.

    A number that is not assigned counts as one of the main country of its calling code.
    """
    parsed = _split(number)
    if parsed is None:
        return None
    regions = _REGIONS_BY_CODE[parsed.country_code or 0]
    if len(regions) == 1:
        return regions[0] if regions[0].isalpha() else None
    return phonenumbers.region_code_for_number(parsed) or regions[0]


def _split(number: str) -> PhoneNumber | None:
    """Split an E.164 number into calling code and the rest; None if the code is unassigned."""
    for length in (1, 2, 3):
        digits, rest = number[1 : 1 + length], number[1 + length :]
        if digits.isdecimal() and int(digits) in _REGIONS_BY_CODE and rest.isdecimal():
            return PhoneNumber(country_code=int(digits), national_number=int(rest))
    return None
