"""The interface between the API and the rest of the edge; the API imports nothing else of it."""

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
    """The action is not possible now (409); the message says why."""


class InvalidRequest(Exception):
    """The request is invalid (422); the message says why."""


class BackendUnavailable(Exception):
    """The database cannot be reached now (503); the message says why."""


class Event(Protocol):
    """An event in a call."""

    @property
    def number(self) -> int: ...
    @property
    def call(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def details(self) -> Row: ...


class Listener(Protocol):
    """A subscription to events."""

    async def next(self) -> Event | str:
        """Return the next event, or the reason why there will be no more."""
        ...


class Live(Protocol):
    """The calls in progress."""

    def calls(self) -> Sequence[Row]:
        """Return all of them, oldest first."""
        ...

    def call(self, name: str) -> Row | None:
        """Return one with its story so far."""
        ...

    def trace(self, name: str) -> Sequence[Row]:
        """Return the SIP messages so far of one in progress, or just over; else empty."""
        ...

    async def capture(self, name: str) -> bytes:
        """Return the same as a capture file (pcapng)."""
        ...

    def wish(self, name: str, wish: str, who: str, text: str) -> None:
        """Do ``connect``, ``reject``, ``voicemail``, ``ask`` or ``hang up``; raises NotPossible.

        LookupError if no such call is in progress.
        """
        ...

    @property
    def era(self) -> str:
        """Identifies this run of the process: event numbers start anew with each."""
        ...

    @property
    def latest(self) -> int:
        """The number of the last event."""
        ...

    def listening(self, call: str | None) -> AbstractContextManager[Listener]:
        """Subscribe to events from now on; BackendUnavailable if there are too many subscribers."""
        ...

    def since(self, number: int, call: str | None) -> Sequence[Event] | None:
        """Return the events after that number; None if some of them are no longer buffered."""
        ...


@dataclass(frozen=True, slots=True)
class CallFilter:
    """A filter for calls; None: any value."""

    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None
    dialed: str | None = None
    result: str | None = None
    decision: str | None = None


class Archive(Protocol):
    """What is stored; every method raises BackendUnavailable."""

    async def calls(self, wanted: CallFilter, after: Sequence[Any] | None, limit: int) -> Sequence[Row]: ...

    async def call(self, name: str) -> Row | None: ...

    async def trace(self, call: str) -> Sequence[Row]:
        """The SIP messages of a call; empty if none are stored."""
        ...

    async def capture(self, call: str) -> bytes:
        """The same as a capture file (pcapng)."""
        ...

    async def entries(
        self, name: str, number: str | None, after: Sequence[Any] | None, limit: int
    ) -> Sequence[Row]: ...

    async def entry(self, name: str, number: int) -> Row | None: ...

    async def put(self, name: str, entry: Row, number: int | None) -> tuple[Row, bool]:
        """Store an entry, replacing the one with that id (`number`) or an equal one; True if it is new.

        Raises InvalidRequest; LookupError if there is no entry with that id.
        """
        ...

    async def remove(self, name: str, number: int) -> bool: ...

    async def imported(self, file: bytes) -> Row:
        """Import a contact file; raises InvalidRequest if it is not one."""
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
    """Dry runs of the screening policy."""

    async def tried(self, asked: Row) -> Row:
        """Return what the rules say of the caller in a `models.Trial`; raises InvalidRequest."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything that the endpoints use."""

    access: Access
    live: Live
    trials: Trials
    archive: Archive | None
    """None if nothing is stored."""


def backend_of(request: Request) -> Backend:
    """Return the backend of the application that serves this request."""
    found: Backend = request.app.state.backend
    return found


def archive_of(request: Request) -> Archive:
    """Return the archive; raises Problem 503 if nothing is stored."""
    if (archive := backend_of(request).archive) is None:
        raise Problem(503, 'nothing is kept here: memory.url is "off"')
    return archive
