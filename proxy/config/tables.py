"""Helpers for the checks that read the raw TOML, in which anything may be missing or of the wrong type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from proxy.config import certificate
from proxy.config.paths import SettingsContext
from proxy.config.problem import fault

T = TypeVar("T")
Raw = Mapping[str, Any]
Found = tuple[str, PydanticCustomError]
"""A key and the problem with it."""


def tables(raw: Raw, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the ``[[name]]`` tables, each with its key."""
    found = raw.get(name)
    if not isinstance(found, list):
        return []
    return [(f"{name}[{i}]", one) for i, one in enumerate(found) if isinstance(one, dict)]


def read(parse: Callable[[object], T], value: object) -> T | None:
    """Return the parsed value, or None if it is invalid, which is reported elsewhere."""
    try:
        return parse(value)
    except PydanticCustomError:
        return None


def certified(at: str, one: Raw, where: SettingsContext, *, needed: bool) -> Iterator[Found]:
    """Check that certificate and key are both given, load, and match."""
    needed = needed or "certificate" in one or "key" in one
    for name in ("certificate", "key"):
        if needed and name not in one:
            yield f"{at}.{name}", fault("the path of a PEM file (TLS needs certificate and key)", "nothing")
    chain, key = (read(where.file, one.get(name)) for name in ("certificate", "key"))
    if chain:
        yield from loads(f"{at}.certificate", certificate.certificate, chain)
    if key:
        yield from loads(f"{at}.key", certificate.public_key_der, key)
    if chain and key and certificate.key_matches(chain, key) is False:
        yield f"{at}.key", fault("the key of the certificate", "the key of another one")


def loads(at: str, load: Callable[[Path], object], file: Path) -> Iterator[Found]:
    """Yield the problem with an existing file, if it does not load."""
    try:
        load(file)
    except PydanticCustomError as error:
        yield at, error
