"""Expected calls: from one number or from anybody, until a time or for a number of calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from screening.contract import Caller


@dataclass(frozen=True, slots=True)
class Expectation:
    """One or more calls that the user expects."""

    number: str | None = None
    """The caller's number in E.164; None for anybody."""
    dialed: str | None = None
    """The dialled number; None for any."""
    until: datetime | None = None
    """Aware datetime; None for no end but that of `calls`."""
    calls: int | None = None
    """How many more calls; None for any number of them."""
    entry_id: int | None = None
    """The id of its stored entry, if stored."""

    def __str__(self) -> str:
        whose = "the number is expected" if self.number else "somebody is expected"
        return f"{whose} until {self.until:%Y-%m-%d %H:%M %Z}" if self.until else whose

    def matches(self, number: str | None, caller: Caller) -> bool:
        """Whether this call is the expected one; `number` is the caller's, as far as it is believed."""
        return (
            (self.number is None or self.number == number)
            and (self.dialed is None or self.dialed == caller.dialed)
            and (self.until is None or caller.at < self.until)
            and (self.calls is None or self.calls > 0)
        )


class ExpectedCalls(Protocol):
    """The expected calls. Asked for every call, so no method may block."""

    def find_number(self, number: str, caller: Caller) -> Expectation | None:
        """Return the expectation that names this number; None if there is none."""
        ...

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        """Return the expectation that matches this call, one that names the number first; None if there is
        none.
        """
        ...

    def use_up(self, expectation: Expectation) -> None:
        """Use up one of the expectation's `calls`."""
        ...


class ExpectationList:
    """Expectations in memory."""

    def __init__(self, expectations: Iterable[Expectation] = ()) -> None:
        self._all = list(expectations)

    def __iter__(self) -> Iterator[Expectation]:
        return iter(self._all)

    def find_number(self, number: str, caller: Caller) -> Expectation | None:
        return next((each for each in self._all if each.number and each.matches(number, caller)), None)

    def find(self, number: str | None, caller: Caller) -> Expectation | None:
        if not self._all:  # the usual case
            return None
        named = self.find_number(number, caller) if number is not None else None
        anybody = (each for each in self._all if each.number is None and each.matches(None, caller))
        return named or next(anybody, None)

    def use_up(self, expectation: Expectation) -> None:
        if expectation.calls is None or expectation not in self._all:
            return
        place = self._all.index(expectation)
        if expectation.calls > 1:
            self._all[place] = replace(expectation, calls=expectation.calls - 1)
        else:
            del self._all[place]


NONE_EXPECTED = ExpectationList()
"""No expected calls, ever."""
