"""``[[notify]]``: who is notified of events.

Only `screening` knows the syntax of apprise URLs and webhook secrets; `proxy.services.notifications` has it
check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, SecretStr, ValidationInfo

from proxy.config import values
from proxy.config.keys import Line, Name, Secret, Table
from proxy.config.paths import UNREAD, SettingsContext
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, tables

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/:@\s?#\[\]]+)(:\d{1,5})?([/?][^\s#]*)?")
_EXPECTED = "an https:// URL without a user or a fragment, or env:NAME, or file:PATH"
_LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa")
"""Suffixes of local host names (RFC 6762, RFC 8375, and ICANN's ``.internal``)."""


def _webhook(value: object, info: ValidationInfo) -> SecretStr:
    """Validate a webhook URL; never shown, since some services put a secret in it."""
    pointed = isinstance(value, str) and value.startswith(("env:", "file:"))
    secret = _where(info).secret(value) if pointed else SecretStr(value if isinstance(value, str) else "")
    if secret is UNREAD:
        return secret
    matched = _URL.fullmatch(secret.get_secret_value())
    if matched is None or not all(c.isascii() and c.isprintable() for c in secret.get_secret_value()):
        raise fault(_EXPECTED, "something else")
    if matched[1] == "http" and not _is_local_host(matched[2]):
        raise fault(f"{_EXPECTED} (http:// only to machines of your own)", "http:// to somewhere else")
    return secret


def _where(info: ValidationInfo) -> SettingsContext:
    assert isinstance(info.context, SettingsContext), "settings are made by proxy.config.load"
    return info.context


def _secrets(value: object, info: ValidationInfo) -> tuple[SecretStr, ...]:
    given = value if isinstance(value, list) and value else [value]
    return tuple(_where(info).secret(each) for each in given)


def _link(value: object) -> str:
    text = values.line(value)
    if not re.fullmatch(r"https?://\S+", text):
        raise fault("an http:// or https:// URL, {call} in it for the name of the call", shown(value))
    return text


def _is_local_host(host: str) -> bool:
    """Whether a host is local: it has a private address, or a local name."""
    name = host.lower().strip("[]").rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_LOCAL_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


Told = Literal["call.screened", "call.missed", "voicemail.new", "budget.warning", "model.warning"]


class Notify(Table):
    """A recipient of notifications: a web server, or any service that apprise supports."""

    name: Name
    webhook: Annotated[SecretStr, PlainValidator(_webhook)] | None = None
    secret: Annotated[tuple[SecretStr, ...], PlainValidator(_secrets)] = ()
    """Signs the webhook; the newest first while secrets are rotated."""
    apprise: Secret | None = None
    """An apprise URL."""
    events: tuple[Told, ...] = ()
    """The events it is notified of; empty: all."""
    numbers: tuple[Line, ...] = ()
    """The dialed numbers it is notified about; empty: all."""
    transcript: bool = False
    """Whether notifications include what callers said."""
    link: Annotated[str, PlainValidator(_link)] | None = None
    """A link to the call for the notification, with ``{call}`` as a placeholder."""


def check(raw: Raw) -> Iterator[Found]:
    """Each table has exactly one way to notify; names are unique, and numbers are configured."""
    known = [number.get("dialed") for _, number in tables(raw, "number")]
    names = set[Any]()
    for at, one in tables(raw, "notify"):
        ways = [key for key in ("webhook", "apprise") if key in one]
        if len(ways) != 1:
            yield at, fault("one of webhook and apprise", " and ".join(ways) or "neither")
        if ("secret" in one) != ("webhook" in one):
            yield f"{at}.secret", fault("a secret with a webhook, and only there", _there("secret" in one))
        if isinstance(name := one.get("name"), str):
            if name in names:
                yield f"{at}.name", fault("a name of its own", shown(name))
            names.add(name)
        for i, number in enumerate(one["numbers"] if isinstance(one.get("numbers"), list) else []):
            if number not in known:
                yield f"{at}.numbers[{i}]", fault("the dialed of a [[number]]", shown(number))


def remarks(told: Iterable[Notify], *, kept: bool) -> Iterator[str]:
    """Warnings about risky but valid values; `kept`: whether the queue of notices survives a restart."""
    waits = not kept
    for one in told:
        if waits:
            yield 'notices that wait are lost when the process ends, for [memory] url is "off"'
            waits = False
        if one.webhook is not None and one.webhook.get_secret_value().startswith("http://"):
            yield f"notify {one.name}: http:// sends who called in the clear: use https://"


def _there(there: bool) -> str:
    return "one without a webhook" if there else "nothing"
