"""Who is told what happened: ``[[notify]]``.

Only the screening knows what apprise URLs and webhook secrets may be; `proxy.services.notifications` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, SecretStr, ValidationInfo

from proxy.config import values
from proxy.config.keys import Line, Name, Secret, Table
from proxy.config.paths import UNREAD, Where
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, tables

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/:@\s?#\[\]]+)(:\d{1,5})?([/?][^\s#]*)?")
_EXPECTED = "an https:// URL without a user or a fragment, or env:NAME, or file:PATH"
_AT_HOME = (".local", ".lan", ".internal", ".home.arpa")
"""Ends of names that are not of the internet (RFC 6762, RFC 8375, and what ICANN set aside)."""


def _webhook(value: object, info: ValidationInfo) -> SecretStr:
    """Return where notices are posted; some services have a secret in it, so it is never shown."""
    pointed = isinstance(value, str) and value.startswith(("env:", "file:"))
    secret = _where(info).secret(value) if pointed else SecretStr(value if isinstance(value, str) else "")
    if secret is UNREAD:
        return secret
    matched = _URL.fullmatch(secret.get_secret_value())
    if matched is None or not all(c.isascii() and c.isprintable() for c in secret.get_secret_value()):
        raise fault(_EXPECTED, "something else")
    if matched[1] == "http" and not _at_home(matched[2]):
        raise fault(f"{_EXPECTED} (http:// only to machines of your own)", "http:// to somewhere else")
    return secret


def _where(info: ValidationInfo) -> Where:
    assert isinstance(info.context, Where), "settings are made by proxy.config.load"
    return info.context


def _secrets(value: object, info: ValidationInfo) -> tuple[SecretStr, ...]:
    given = value if isinstance(value, list) and value else [value]
    return tuple(_where(info).secret(each) for each in given)


def _link(value: object) -> str:
    text = values.line(value)
    if not re.fullmatch(r"https?://\S+", text):
        raise fault("an http:// or https:// URL, {call} in it for the name of the call", shown(value))
    return text


def _at_home(host: str) -> bool:
    """Whether a host is this machine or a neighbour: by its private address, or a name that is local."""
    name = host.lower().strip("[]").rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_AT_HOME)
    return address.is_private or address.is_loopback or address.is_link_local


Told = Literal["call.screened", "call.missed", "voicemail.new", "budget.warning"]


class Notify(Table):
    """Somebody who is told: a web server, or whatever apprise reaches."""

    name: Name
    webhook: Annotated[SecretStr, PlainValidator(_webhook)] | None = None
    secret: Annotated[tuple[SecretStr, ...], PlainValidator(_secrets)] = ()
    """Of the webhook; the newest first while they change."""
    apprise: Secret | None = None
    """One URL of apprise's."""
    events: tuple[Told, ...] = ()
    """What it is told of; empty for everything."""
    numbers: tuple[Line, ...] = ()
    """Dialled numbers that it is for; empty for all."""
    transcript: bool = False
    """Whether it gets what callers said."""
    link: Annotated[str, PlainValidator(_link)] | None = None
    """Where more is to be seen, with ``{call}`` in it."""


def check(raw: Raw) -> Iterator[Found]:
    """Each has one way to be told; names and numbers are of this file."""
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
    """What is allowed, and worth a word; `kept`: what waits is kept through restarts."""
    waits = not kept
    for one in told:
        if waits:
            yield 'notices that wait are lost when the process ends, for [memory] url is "off"'
            waits = False
        if one.webhook is not None and one.webhook.get_secret_value().startswith("http://"):
            yield f"notify {one.name}: http:// sends who called in the clear: use https://"


def _there(there: bool) -> str:
    return "one without a webhook" if there else "nothing"
