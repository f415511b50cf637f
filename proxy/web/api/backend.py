"""What the API is given of the house: it asks these, and knows nothing of what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from proxy.web.api.access import Access
from proxy.web.api.problem import Problem

Row = Mapping[str, Any]


class NotPossible(Exception):
    """It cannot be done now (409); the message says why."""


class Wrong(Exception):
    """What was asked makes no sense (422); the message says why."""


class Away(Exception):
    """What is kept cannot be reached now (503); the message says why."""


class Event(Protocol):
    """One thing that happened in a call."""

    @property
    def number(self) -> int: ...
    @property
    def call(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def told(self) -> Row: ...


class Listener(Protocol):
    """One who hears of events."""

    async def next(self) -> Event | str:
        """The next event; or why there will be none."""
        ...


class Live(Protocol):
    """The calls that go on."""

    def calls(self) -> Sequence[Row]:
        """All of them, the oldest first."""
        ...

    def call(self, name: str) -> Row | None:
        """One with its story so far."""
        ...

    def wish(self, name: str, wish: str, who: str, text: str) -> None:
        """Do ``connect``, ``reject``, ``voicemail``, ``ask`` or ``hang up``; raises NotPossible.

        LookupError if no such call goes on.
        """
        ...

    @property
    def era(self) -> str:
        """Names this life of ours: numbers of events begin anew with each."""
        ...

    @property
    def latest(self) -> int:
        """The number of the last event."""
        ...

    def listening(self, call: str | None) -> AbstractContextManager[Listener]:
        """Hear what happens from now on; Away if too many listen already."""
        ...

    def since(self, number: int, call: str | None) -> Sequence[Event] | None:
        """What has happened since that event; None if not all of it is known any more."""
        ...


@dataclass(frozen=True, slots=True)
class Sought:
    """Which calls; None: whatever it be."""

    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None
    dialed: str | None = None
    result: str | None = None
    decision: str | None = None


class Archive(Protocol):
    """What is kept; every verb raises Away."""

    async def calls(self, sought: Sought, after: Sequence[Any] | None, limit: int) -> Sequence[Row]: ...

    async def call(self, name: str) -> Row | None: ...

    async def entries(
        self, name: str, number: str | None, after: Sequence[Any] | None, limit: int
    ) -> Sequence[Row]: ...

    async def entry(self, name: str, number: int) -> Row | None: ...

    async def put(self, name: str, entry: Row, number: int | None) -> tuple[Row, bool]:
        """Keep an entry, in the place of that `number` or of one alike; whether it is new. Raises Wrong.

        LookupError if there is none of that `number`.
        """
        ...

    async def remove(self, name: str, number: int) -> bool: ...

    async def imported(self, file: bytes) -> Row:
        """Raises Wrong for what is no contact file."""
        ...

    async def voicemails(
        self, heard: bool | None, after: Sequence[Any] | None, limit: int
    ) -> Sequence[Row]: ...

    async def voicemail(self, call: str) -> Row | None: ...

    async def audio(self, call: str) -> Path | None: ...

    async def heard(self, call: str, heard: bool) -> bool: ...

    async def delete_voicemail(self, call: str) -> bool: ...

    async def forget(self, caller: str) -> Row: ...

    async def costs(self) -> Sequence[Row]: ...

    async def export(self, caller: str) -> Row: ...


class Trials(Protocol):
    """What the policy would do."""

    async def tried(self, asked: Row) -> Row:
        """What the rules say of a caller, as `models.Trial` tells him; raises Wrong."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """All of it."""

    access: Access
    live: Live
    trials: Trials
    archive: Archive | None
    """None where nothing is kept."""


def house_of(request: Request) -> House:
    """The house that this request is made to."""
    found: House = request.app.state.house
    return found


def archive_of(request: Request) -> Archive:
    """What is kept; raises Problem 503 where nothing is."""
    if (archive := house_of(request).archive) is None:
        raise Problem(503, 'nothing is kept here: memory.url is "off"')
    return archive
