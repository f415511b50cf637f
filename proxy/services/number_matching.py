"""Converts between numbers as users write them and as calls and settings hold them.

Callers are stored as their trunks sent them, dialed numbers as the settings spell them.
"""

from __future__ import annotations

from proxy.config import Settings
from proxy.services import policy_setup
from screening.callers.numbering import normalize
from screening.memory.number_matching import SameCaller


def caller_of(settings: Settings, text: str) -> str:
    """A caller's number in E.164; unchanged if it cannot be parsed."""
    return normalize(text, policy_setup.country(settings, settings.numbers[0]))


def dialed_of(settings: Settings, text: str) -> str:
    """One of our numbers as the settings spell it; in E.164 if the settings no longer have it."""
    wanted = {text, caller_of(settings, text)}
    for number in settings.numbers:
        if (
            number.dialed in wanted
            or normalize(number.dialed, policy_setup.country(settings, number)) in wanted
        ):
            return number.dialed
    return caller_of(settings, text)


def same_caller(settings: Settings, caller: str) -> SameCaller:
    """Make the predicate for other spellings of a caller, such as without ``+`` or country code."""
    countries = {number.dialed: policy_setup.country(settings, number) for number in settings.numbers}
    default_country = countries[settings.numbers[0].dialed]

    def matches(number: str, dialed: str) -> bool:
        return normalize(number, countries.get(dialed, default_country)) == caller

    return matches
