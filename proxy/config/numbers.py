"""Telephone numbers in the settings, and emergency numbers, which may not be configured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

import phonenumbers
from phonenumbers.shortnumberinfo import is_emergency_number

E164 = re.compile(r"\+[1-9]\d{6,14}")
DIALABLE = re.compile(r"\+?\d{2,15}")

# Police, fire and ambulance: never screened, and never a transfer target. 933 is where a phone in North
# America tests whether its 911 would work.
EMERGENCY = frozenset(
    ("000", "110", "111", "112", "113", "115", "117", "118", "119", "190",
     "911", "933", "988", "995", "997", "998", "999")
)  # fmt: skip
MAX_EMERGENCY = 8
"""Longest emergency number: ``+``, a country code of three digits, and four more."""
SOS_SERVICE = "service:sos"
"""Prefix of service URNs for emergency services, after ``urn:`` (RFC 5031 §4.2)."""

_SEPARATORS = str.maketrans("", "", "-.() ")


def is_emergency(number: str, regions: Iterable[str] = ()) -> bool:
    """Return whether the user part of a URI reaches an emergency service, however it is written.

    Covers the numbers that are emergency numbers in most places, and those of `regions` (ISO 3166 codes),
    with or without a country code, with escapes, separators and parameters.
    """
    if len(number) > MAX_EMERGENCY and number.removeprefix("+").isdecimal():
        return False  # fast path for nearly every number: this runs for every call
    if number.lower().startswith(SOS_SERVICE):
        return True
    digits = _digits(number)
    return digits is not None and len(digits) <= MAX_EMERGENCY and _is_emergency(digits, tuple(regions))


@lru_cache(4096)
def _is_emergency(digits: str, regions: tuple[str, ...]) -> bool:
    plain = digits.removeprefix("+")
    if plain in EMERGENCY or any(is_emergency_number(plain, region) for region in regions):
        return True
    if not digits.startswith("+"):
        return False
    return any(
        plain.startswith(str(code)) and _local(plain[len(str(code)) :], codes)
        for code, codes in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    )


def regions_of(numbers: Iterable[str]) -> tuple[str, ...]:
    """The regions of numbers in E.164; other numbers are ignored."""
    found: set[str] = set()
    for number in numbers:
        plain = number.removeprefix("+")
        for length in (1, 2, 3):
            if number.startswith("+") and plain[:length].isdecimal():
                found.update(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(plain[:length]), ()))
    return tuple(sorted(found))


def country_of(number: str | None) -> str | None:
    """The ISO 3166 code of an E.164 number's country, in lower case; None if it has none."""
    if number is None or E164.fullmatch(number) is None:
        return None
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None  # an unassigned country code
    region = phonenumbers.region_code_for_number(parsed)
    found = region or phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return found.lower() if found.isalpha() else None


def _local(number: str, regions: Iterable[str]) -> bool:
    return number in EMERGENCY or any(is_emergency_number(number, region) for region in regions)


def _digits(text: str) -> str | None:
    """The digits of a number in any script, with an initial ``+`` kept; None if it is not a number."""
    bare = unquote(text).partition(";")[0].translate(_SEPARATORS)
    plain = bare.removeprefix("+")
    if not plain.isdecimal():
        return None
    return bare[: len(bare) - len(plain)] + "".join(str(int(digit)) for digit in plain)
