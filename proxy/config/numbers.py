"""Telephone numbers as the settings write them, and those nobody may configure."""

from __future__ import annotations

import re

import phonenumbers

E164 = re.compile(r"\+[1-9]\d{6,14}")
DIALABLE = re.compile(r"\+?\d{2,15}")

# Police, fire and ambulance: no screening stands before them, and no transfer leads to them.
EMERGENCY = frozenset(
    (
        "000",
        "110",
        "111",
        "112",
        "113",
        "115",
        "117",
        "118",
        "119",
        "190",
        "911",
        "988",
        "995",
        "997",
        "998",
        "999",
    )
)


def is_emergency(number: str) -> bool:
    """Tell whether a number reaches an emergency service, with or without a country code before it."""
    digits = re.sub(r"[^\d+]", "", number)
    if digits.lstrip("+") in EMERGENCY:
        return True
    if not digits.startswith("+"):
        return False
    return any(
        digits[1:].startswith(str(code)) and digits[1 + len(str(code)) :] in EMERGENCY
        for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    )
