"""A settings file as TOML gave it, read with care: what every check between its keys begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from proxy.config import certificate
from proxy.config.paths import Where
from proxy.config.problem import fault

T = TypeVar("T")
Raw = Mapping[str, Any]
Found = tuple[str, PydanticCustomError]
"""A key and what is wrong with it."""


def tables(raw: Raw, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the ``[[name]]`` tables, each with its place."""
    found = raw.get(name)
    if not isinstance(found, list):
        return []
    return [(f"{name}[{i}]", one) for i, one in enumerate(found) if isinstance(one, dict)]


def read(parse: Callable[[object], T], value: object) -> T | None:
    """Return the value, or None where it is wrong by itself, which is listed already."""
    try:
        return parse(value)
    except PydanticCustomError:
        return None


def certified(at: str, one: Raw, where: Where, *, needed: bool) -> Iterator[Found]:
    """A certificate and its key stand together, load, and belong together."""
    needed = needed or "certificate" in one or "key" in one
    for name in ("certificate", "key"):
        if needed and name not in one:
            yield f"{at}.{name}", fault("the path of a PEM file (TLS needs certificate and key)", "nothing")
    chain, key = (read(where.file, one.get(name)) for name in ("certificate", "key"))
    if chain:
        yield from loads(f"{at}.certificate", certificate.certificate, chain)
    if key:
        yield from loads(f"{at}.key", certificate.public_part, key)
    if chain and key and certificate.belong(chain, key) is False:
        yield f"{at}.key", fault("the key of the certificate", "the key of another one")


def loads(at: str, load: Callable[[Path], object], file: Path) -> Iterator[Found]:
    """What is wrong with a file that is there."""
    try:
        load(file)
    except PydanticCustomError as error:
        yield at, error
