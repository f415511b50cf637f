"""Problems in a settings file, one line each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: the key, the value expected there, and the one found."""

    file: str
    key: str
    """Dotted path inside the file, such as ``listen[0].bind``; lists count from 0."""
    expected: str
    got: str = "nothing"
    """Never the text of a secret."""

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: expected {self.expected}, got {self.got}"


class SettingsError(Exception):
    """The settings are invalid; holds every problem, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NoRoute(SettingsError):
    """There is no route to find this machine's address by; the network may not be up yet."""


def fault(expected: str, got: str) -> PydanticCustomError:
    """Create the error for an invalid value, to be raised during validation."""
    return PydanticCustomError("settings", "{expected}", {"expected": expected, "got": got})


def shown(value: object) -> str:
    """Describe a TOML value for a problem line: short, on one line, without the password of a URI."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            clean = re.sub(r"(sips?:[^:@]*):[^@]*@", r"\1:...@", value, flags=re.IGNORECASE)
            text = clean if len(clean) <= MAX_SHOWN else clean[:MAX_SHOWN] + "..."
            return '"' + "".join(c if c.isprintable() else "?" for c in text) + '"'
        case int() | float():
            return str(value)
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"
