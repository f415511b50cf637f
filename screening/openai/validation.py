"""Validators for JSON objects that a vendor would accept and fail over later; each says what is
wrong where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Problems = list[str]
Check = Callable[[str, object], Problems]


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Deep-merge two objects, `above` winning; lists are replaced."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _alike(old, value):
            value = merged(old, value)
        result[name] = value
    return result


def _alike(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Whether two objects are of the same ``type``; those of different types share no fields."""
    return new.get("type", old.get("type")) == old.get("type")


def fields(known: Mapping[str, Check]) -> Check:
    """Return a check for an object with these fields and no others."""

    def check_object(path: str, value: object) -> Problems:
        if not isinstance(value, Mapping):
            return [f"{path}: must be an object"]
        problems: Problems = []
        for name, inner in value.items():
            where = f"{path}.{name}" if path else str(name)
            problems += known[name](where, inner) if name in known else [f"{where}: unknown field"]
        return problems

    return check_object


def must_be(says: str, holds: Callable[[object], bool]) -> Check:
    return lambda path, value: [] if holds(value) else [f"{path}: must be {says}"]


def one_of(*choices: object) -> Check:
    return must_be(" or ".join(map(repr, choices)), lambda value: value in choices)


def or_null(inner: Check) -> Check:
    return lambda path, value: [] if value is None else inner(path, value)


def forbidden(instead: str) -> Check:
    return lambda path, value: [f"{path}: must not be sent, {instead}"]


def number(low: float, high: float) -> Check:
    return must_be(f"a number from {low:g} to {high:g}", lambda value: is_within(value, low, high))


def is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def list_of(inner: Check) -> Check:
    def check_list(path: str, value: object) -> Problems:
        if not isinstance(value, list | tuple):
            return [f"{path}: must be a list"]
        return [problem for at, item in enumerate(value) for problem in inner(f"{path}[{at}]", item)]

    return check_list


ANYTHING = must_be("anything", lambda value: True)
TEXT = must_be("text", lambda value: isinstance(value, str))
NON_EMPTY_TEXT = must_be("text, not empty", lambda value: isinstance(value, str) and value != "")
BOOLEAN = must_be("true or false", lambda value: isinstance(value, bool))
