"""Numbers as people ask for them, and as calls have them: those of callers as their trunks wrote them, those
that are called as the settings do.
"""

from __future__ import annotations

from proxy.config import Settings
from proxy.services import policy_setup
from screening.callers.numbering import normal
from screening.memory.number_matching import Alike


def caller_of(settings: Settings, text: str) -> str:
    """A caller's number in E.164; as it stands where that cannot be said."""
    return normal(text, policy_setup.country(settings, settings.numbers[0]))


def dialed_of(settings: Settings, text: str) -> str:
    """A number of ours as the settings have it, and so calls; one that is there no more in E.164."""
    wanted = {text, caller_of(settings, text)}
    for number in settings.numbers:
        if number.dialed in wanted or normal(number.dialed, policy_setup.country(settings, number)) in wanted:
            return number.dialed
    return caller_of(settings, text)


def alike(settings: Settings, caller: str) -> Alike:
    """Who is that caller though his trunk writes him otherwise, such as without ``+`` or his country."""
    countries = {number.dialed: policy_setup.country(settings, number) for number in settings.numbers}
    elsewhere = countries[settings.numbers[0].dialed]

    def is_he(number: str, dialed: str) -> bool:
        return normal(number, countries.get(dialed, elsewhere)) == caller

    return is_he
