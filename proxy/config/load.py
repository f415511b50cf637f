"""Loads settings from a TOML file, or raises the list of everything that is wrong with it."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxy.config import api, attestation, callers, notices, outcomes, rules, safety, talk, tls_rules, vendor
from proxy.config.costs import CostsOfNumber, Price
from proxy.config.model import Settings
from proxy.config.paths import SettingsContext
from proxy.config.problem import NoRoute, Problem, SettingsError, shown
from proxy.config.server import Tls

ROUTE_PROBE, ROUTE_PROBE6 = "192.0.2.1", "2001:db8::1"
"""Documentation addresses (RFC 5737, RFC 3849): nobody has them, yet the default route applies to them."""
VALUE = 'a value of TOML, such as "text" in straight quotes, 25 or true'
WITH_FILES = (rules.check, tls_rules.check, attestation.check)
ALONE = (safety.check, callers.check, outcomes.check, talk.check, vendor.check, notices.check, api.check)
"""Checks across keys: those that also read files, and those that look only at the TOML itself."""


def local_address(outwards: str = ROUTE_PROBE) -> str | None:
    """Return the address that this machine uses towards the internet; None without a route. Sends nothing."""
    family = socket.AF_INET6 if ":" in outwards else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((outwards, 9))  # on UDP this only selects a route
            found: str = probe.getsockname()[0]
            return found
    except OSError:  # also out of descriptors, or no support for this family
        return None


def load(path: Path, environ: Mapping[str, str], *, secrets: bool = True) -> Settings:
    """Read a settings file; raises SettingsError with every problem in it.

    Without `secrets` only the database's is read, and the others need not exist.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows editors write a byte order mark
    except OSError as error:
        unreadable = Problem(str(path), "file", "a file that can be read", str(error.strerror))
        raise SettingsError([unreadable]) from error
    except UnicodeDecodeError as error:
        garbled = Problem(str(path), "file", "UTF-8 text", f"something else at byte {error.start}")
        raise SettingsError([garbled]) from error
    return parse(text, environ, file=str(path), folder=path.parent, secrets=secrets)


def parse(
    text: str,
    environ: Mapping[str, str],
    *,
    file: str,
    folder: Path,
    find_address: Callable[[str], str | None] = local_address,
    secrets: bool = True,
) -> Settings:
    """Validate settings given as text; `file` is the name for problems, `folder` the base of relative paths.

    `find_address` resolves "auto" (see `local_address`). It is not called without `secrets`: such settings
    are not for taking calls.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for an integer of more than 4300 digits
        said = re.fullmatch(r"(.*) \(at (.*)\)", str(error))
        what, place = said.groups() if said else (str(error), "file")
        expected, got = (VALUE, "something else") if what == "Invalid value" else ("TOML", what)
        raise SettingsError([Problem(file, place, expected, got)]) from error
    where = SettingsContext(folder, environ, secrets)
    found = [each for check in WITH_FILES for each in check(raw, where)]
    found += [each for check in ALONE for each in check(raw)]
    problems = [Problem(file, key, *_expected_and_got(fault.context)) for key, fault in found]
    settings = None
    try:
        settings = Settings.model_validate(raw, context=where)
    except ValidationError as error:
        problems += [
            _problem(file, one) for one in error.errors(include_url=False) if not _is_reported_elsewhere(one)
        ]
    if problems or settings is None:
        raise SettingsError(sorted(problems, key=_sort_key))
    return _with_address(settings, file, find_address) if secrets else settings


def _with_address(settings: Settings, file: str, find_address: Callable[[str], str | None]) -> Settings:
    """Replace the address "auto"; by the IPv6 one if all listeners are IPv6."""
    if settings.public.address != "auto":
        return settings
    address = find_address(route_probe(settings))
    if address is None:
        raise NoRoute(
            [Problem(file, "public.address", "an IP address", '"auto" without a route to find it by')]
        )
    return settings.model_copy(update={"public": settings.public.at(address)})


def route_probe(settings: Settings) -> str:
    """The address towards which the route is looked up to resolve "auto"."""
    return ROUTE_PROBE if any(":" not in listen.bind[0] for listen in settings.listeners) else ROUTE_PROBE6


def _is_reported_elsewhere(error: ErrorDetails) -> bool:
    """Whether other problems cover this one: a list with invalid entries is "too short" for pydantic."""
    return error["type"] == "too_short" and bool(error["input"])


def _problem(file: str, error: ErrorDetails) -> Problem:
    """Convert a pydantic error into the terms of the settings file."""
    where, got = error["loc"], shown(error["input"])
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    table = str(where[0])
    match error["type"]:
        case "settings":
            return Problem(file, key, *_expected_and_got(error["ctx"]))
        case "missing":
            return Problem(file, key, "a table" if len(where) == 1 else "a value (this key is required)")
        case "extra_forbidden":
            return Problem(file, key, _known(where), "an unknown key")
        case "literal_error":
            return Problem(file, key, f"one of {error['ctx']['expected']}".replace("'", '"'), got)
        case "tuple_type" if len(where) == 1:
            return Problem(file, key, f"a list of tables, each written [[{table}]]", got)
        case "tuple_type":
            return Problem(file, key, "a list", got)
        case "too_short":
            return Problem(file, key, "at least one entry", got)
        case "bool_type" | "bool_parsing":
            return Problem(file, key, "true or false", got)
        case "model_type":
            return Problem(file, key, f"a table, written [{table}]" if len(where) == 1 else "a table", got)
        case _:
            return Problem(file, key, "text" if error["type"] == "string_type" else error["msg"], got)


def _expected_and_got(context: Mapping[str, Any] | None) -> tuple[str, str]:
    return (context["expected"], context["got"]) if context else ("another value", "this one")


def _known(where: tuple[int | str, ...]) -> str:
    """Describe the keys that are known in the table that has an unknown key."""
    keys = _keys(Settings)
    if "tls" in where[1:-1]:
        keys = _keys(Tls)
    elif "prices" in where[1:-1]:
        keys = _keys(Price)
    elif "costs" in where[1:-1]:
        keys = _keys(CostsOfNumber)
    elif "tokens" in where[1:-1]:
        keys = _keys(api.Token)
    elif len(where) > 1:
        keys = _keys(_TABLES[str(where[0])])
    close = get_close_matches(str(where[-1]), keys, 1)
    return f'a known key (did you mean "{close[0]}"?)' if close else f"one of {', '.join(keys)}"


def _keys(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]


def _tables() -> dict[str, type[BaseModel]]:
    """Map the name of each table to its class."""
    found = {}
    for key, field in zip(_keys(Settings), Settings.model_fields.values(), strict=True):
        kind = (get_args(field.annotation) or (field.annotation,))[0]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[key] = kind
    return found


_TABLES = _tables()


def _sort_key(problem: Problem) -> tuple[int, str]:
    """Sort key: problems in the documented order of the tables, then by key."""
    table = re.split(r"[.\[]", problem.key)[0]
    keys = _keys(Settings)
    return (keys.index(table) if table in keys else -1, problem.key)
