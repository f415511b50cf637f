"""Telephone numbers: to E.164 from how people and carriers write them, and to the country they belong to."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

E164 = re.compile(r"\+[1-9]\d{6,14}")
_SEPARATORS = str.maketrans("", "", " -./\u00a0\u2010\u2011\u2013\t")
_OLD_MEXICAN = re.compile(r"\+521(\d{10})")
"""A mobile, as it was dialled from abroad until 2019, and as many a contact still has it."""
_CODES = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
_REMEMBERED = 8192
"""Callers whose number was worked out, and need not be again."""


def e164(text: str, country: str) -> str | None:
    """A number as people write it, in E.164; None for what cannot be one.

    `country` (two letters) is where a number without ``+`` is dialled.
    """
    bare = _OLD_MEXICAN.sub(r"+52\1", text.translate(_SEPARATORS))
    parsed = _split(bare) if E164.fullmatch(bare) else None
    # Nearly all of a contact file, and `parse` takes much longer. A zero may be one that is not dialled.
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


@lru_cache(_REMEMBERED)
def normal(number: str, country: str) -> str:
    """A caller's number, as a carrier has sent it, in E.164; as it stands where that cannot be said."""
    if number.startswith("+"):
        return _OLD_MEXICAN.sub(r"+52\1", number)
    spelled = (number, f"+{number.removeprefix('00')}")
    possible = [found for each in spelled if (found := e164(each, country))]
    valid = (each for each in possible if phonenumbers.is_valid_number(phonenumbers.parse(each)))
    return next(valid, possible[0] if possible else number)


@lru_cache(_REMEMBERED)
def country_of(number: str) -> str | None:
    """The country that a number in E.164 belongs to, as two letters; None where there is none to name.

    A number that its country has not given to anybody counts as one of the first country of its code.
    """
    parsed = _split(number)
    if parsed is None:
        return None
    regions = _CODES[parsed.country_code or 0]
    if len(regions) == 1:
        return regions[0] if regions[0].isalpha() else None
    return phonenumbers.region_code_for_number(parsed) or regions[0]


def _split(number: str) -> PhoneNumber | None:
    """The country code and the rest of a number in E.164; None for a code that nobody has."""
    for length in (1, 2, 3):
        digits, rest = number[1 : 1 + length], number[1 + length :]
        if digits.isdecimal() and int(digits) in _CODES and rest.isdecimal():
            return PhoneNumber(country_code=int(digits), national_number=int(rest))
    return None
