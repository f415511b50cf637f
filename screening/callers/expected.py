"""Calls that somebody expects: from one number, or from anybody, until a time or for so many calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from screening.contract import Caller


@dataclass(frozen=True, slots=True)
class Expectation:
    """One call, or several, that are waited for."""

    number: str | None = None
    """In E.164; None: whoever calls."""
    dialed: str | None = None
    """The number of ours that is to be called; None: any."""
    until: datetime | None = None
    """With a time zone; None: for ever, or for `calls`."""
    calls: int | None = None
    """How many more; None: all."""
    place: int | None = None
    """The id of its entry, where it is kept."""

    def __str__(self) -> str:
        whose = "the number is expected" if self.number else "somebody is expected"
        return f"{whose} until {self.until:%Y-%m-%d %H:%M %Z}" if self.until else whose

    def meant(self, number: str | None, caller: Caller) -> bool:
        """Whether it is this call, of the number that we believe it to be from."""
        return (
            (self.number is None or self.number == number)
            and (self.dialed is None or self.dialed == caller.dialed)
            and (self.until is None or caller.at < self.until)
            and (self.calls is None or self.calls > 0)
        )


class Expecting(Protocol):
    """Who is expected; asked for every call, so that no answer may wait for anything."""

    def number(self, number: str, caller: Caller) -> Expectation | None:
        """What expects this very number; None if nothing does."""
        ...

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        """What expects this call; None if nothing does. One that names the number comes first."""
        ...

    def came(self, expectation: Expectation) -> None:
        """An expected call has come, and one of its `calls` is used up."""
        ...


class Expected:
    """Expectations in memory."""

    def __init__(self, expectations: Iterable[Expectation] = ()) -> None:
        self._all = list(expectations)

    def __iter__(self) -> Iterator[Expectation]:
        return iter(self._all)

    def number(self, number: str, caller: Caller) -> Expectation | None:
        return next((each for each in self._all if each.number and each.meant(number, caller)), None)

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        if not self._all:  # as nearly always
            return None
        named = self.number(number, caller) if number is not None else None
        anybody = (each for each in self._all if each.number is None and each.meant(None, caller))
        return named or next(anybody, None)

    def came(self, expectation: Expectation) -> None:
        if expectation.calls is None or expectation not in self._all:
            return
        place = self._all.index(expectation)
        if expectation.calls > 1:
            self._all[place] = replace(expectation, calls=expectation.calls - 1)
        else:
            del self._all[place]


NOBODY = Expected()
"""Nobody is expected, and nobody is ever added."""
