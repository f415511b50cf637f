"""Which callers are screened, ring at once, or are turned away: keys of ``[screening]`` and ``[[number]]``.

Only `screening` knows the syntax of the lists and times; `proxy.services.policy_setup` has it check them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from pydantic import PlainValidator

from proxy.config import values
from proxy.config.attestation import CommonTrustRules, TrustRules
from proxy.config.keys import File, Line
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, tables

ADDED = ("contacts", "home", "emergency", "allow", "block", "block_names", "vip", "holidays")
"""Lists of a number that extend those of ``[screening]``; its other keys override those there."""
WITHOUT_AGENT = ("off", "trusted")
_MAY_ASK = ("anonymous", "international", "out_of_hours", "failed")
_TIMES = ("hours", "quiet", "holidays")


def country(value: object) -> str:
    """Validate an ISO 3166 country code; returned in upper case."""
    if not isinstance(value, str) or value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise fault("a country of two letters, such as us or de", shown(value))
    return value.upper()


def zone(value: object) -> ZoneInfo:
    """Return a time zone of the IANA database."""
    if isinstance(value, str):
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise fault("a time zone, such as America/New_York or Europe/Berlin", shown(value))


def day(value: object) -> str:
    """Return a day as text; TOML gives a date object if it has a year and no quotes."""
    return str(value) if type(value) is date else values.line(value)


Country = Annotated[str, PlainValidator(country)]
Action = Literal["ask", "ring", "challenge", "voicemail", "reject"]

WhenClosed = Literal["ask", "challenge", "voicemail", "reject"]
WhenUntrusted = Literal["challenge", "voicemail", "reject"]
Repeat = Annotated[float, PlainValidator(values.seconds(0, 86400))]


class CallerRules(TrustRules):
    """What is done with which callers. None: not set."""

    contacts: tuple[File, ...] = ()
    """CSV and vCard files."""
    country: Country | None = None
    """Assumed for numbers without ``+``; None: the country of the dialed number."""
    home: tuple[Country, ...] = ()
    """Countries that count as domestic, besides `country`."""
    allow: tuple[Line, ...] = ()
    vip: tuple[Line, ...] = ()
    block: tuple[Line, ...] = ()
    block_names: tuple[Line, ...] = ()
    emergency: tuple[Line, ...] = ()
    anonymous: Action | None = None
    international: Action | None = None
    time_zone: Annotated[ZoneInfo, PlainValidator(zone)] | None = None
    hours: tuple[Line, ...] = ()
    quiet: tuple[Line, ...] = ()
    holidays: tuple[Annotated[str, PlainValidator(day)], ...] = ()
    out_of_hours: WhenClosed | None = None
    repeat_s: Repeat | None = None
    untrusted: WhenUntrusted | None = None

    def caller_overrides(self, common: CallerRules) -> dict[str, Any]:
        """Return the keys that this number sets; lists include those of ``[screening]`` (`common`)."""
        fields = CallerRules.model_fields.items()
        own = {key: value for key, field in fields if (value := getattr(self, key)) != field.default}
        return own | {key: (*getattr(common, key), *own[key]) for key in ADDED if key in own}


class CommonCallerRules(CommonTrustRules, CallerRules):
    """The same keys in ``[screening]``, with defaults."""

    out_of_hours: WhenClosed = "voicemail"
    repeat_s: Repeat = 300.0
    untrusted: WhenUntrusted = "voicemail"


def asks(screen: object, number: Raw, common: Raw) -> bool:
    """Whether any caller of a number may be screened by an agent, according to the raw TOML tables."""
    told = (number.get(key, common.get(key)) for key in _MAY_ASK)
    return screen not in WITHOUT_AGENT or "ask" in told


def check(raw: Raw) -> Iterator[Found]:
    """Opening hours and the like need a time zone."""
    common = raw["screening"] if isinstance(raw.get("screening"), dict) else {}
    for at, table in [("screening", common), *tables(raw, "number")]:
        timed = next((key for key in _TIMES if table.get(key)), None)
        if timed and "time_zone" not in table and "time_zone" not in common:
            yield f"{at}.time_zone", fault(f"a time zone ({timed} needs it)", "nothing")
