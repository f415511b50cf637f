"""``[memory]``: what is stored about calls, where, and for how long."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from proxy.config import values
from proxy.config.keys import OnOff, Table
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault, shown

EXPECTED = 'sqlite:///FILE, postgresql://USER@HOST/NAME, or "off"'
OFF = "off"
_URL = re.compile(r"off|(sqlite:///|postgres(ql)?://)\S+")


def url(value: object, where: SettingsContext) -> str:
    """Validate the database URL; one with a password has to come from the environment or a file."""
    pointed = isinstance(value, str) and value.startswith(("env:", "file:"))
    text = where.secret(value, needed=True).get_secret_value() if pointed else value
    found = "something else" if pointed or "@" in str(value) else shown(value)
    if not isinstance(text, str) or not _URL.fullmatch(text):
        raise fault(EXPECTED, found)
    if text.startswith("postgres"):
        try:
            password = urlsplit(text).password
        except ValueError:
            raise fault(EXPECTED, found) from None
        if password and not pointed:
            raise fault("env:NAME or file:PATH, since there is a password in it", "the password itself")
        if find_spec("psycopg") is None:
            raise fault("psycopg for PostgreSQL (pip install 'psycopg[binary]')", "no such package")
    return text


def _url(value: object, info: ValidationInfo) -> str:
    assert isinstance(info.context, SettingsContext), "settings are made by proxy.config.load"
    return url(value, info.context)


def _with_url(value: str, info: ValidationInfo) -> str:
    if value == "on" and info.data.get("url") == OFF:
        raise fault('"off", since memory.url is', '"on"')
    return value


class Memory(Table):
    """The database of calls, voicemails and lists."""

    url: Annotated[str, PlainValidator(_url)] = Field(default="sqlite:///screendoor.db", repr=False)
    """``off``: nothing is stored, and the only lists are those in the settings."""
    keep_days: Annotated[int, PlainValidator(values.count(0, 36500))] = 30
    """Calls are deleted after this many days, with their files; 0: never."""
    transcripts: OnOff = "on"
    """Whether transcripts are stored."""
    sip: Annotated[OnOff, AfterValidator(_with_url)] = "off"
    """Whether the SIP messages of calls are stored, with secrets removed."""
