"""The objects behind the HTTP API: implements the protocols of `web.api.backend`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from proxy.call import user_commands
from proxy.call.call import Call
from proxy.call.feed import CutOff, Event, Feed, Listener
from proxy.call.record import CallRecord
from proxy.call.registry import Registry
from proxy.config import Settings
from proxy.observe.capture import Capture
from proxy.observe.pcapng import pcapng
from proxy.observe.trace import TracedMessage
from proxy.services.archive import StoredArchive, trace_row
from proxy.services.dry_run import dry_run
from proxy.ua.ids import Ids
from proxy.web.api.access import Access, Token
from proxy.web.api.app import build_api
from proxy.web.api.backend import Backend, BackendUnavailable, InvalidRequest, NotPossible
from screening.memory.store import Memory

MAX_LISTENERS = 200
"""Maximum concurrent event listeners: each holds a connection."""


def api(
    settings: Settings,
    registry: Registry,
    feed: Feed,
    ids: Ids,
    memory: Memory | None = None,
    capture: Capture | None = None,
) -> tuple[ASGIApp, Mapping[str, int]]:
    """The API application, and its counts of refused requests."""
    tokens = [
        Token(each.name or f"token-{n}", each.token.get_secret_value(), each.may == "write")
        for n, each in enumerate(settings.api.tokens, 1)
    ]
    access = Access(tokens, lambda: asyncio.get_running_loop().time())
    archive = StoredArchive(settings, memory) if memory is not None else None
    live = LiveCalls(registry, feed, ids.token()[:12], capture)
    backend = Backend(access, live, Trials(settings), archive)
    return build_api(backend), access.counts


class LiveCalls:
    """The calls in progress: implements `web.api.backend.Live`."""

    def __init__(self, registry: Registry, feed: Feed, era: str, capture: Capture | None = None) -> None:
        self._registry, self._feed, self.era, self._capture = registry, feed, era, capture

    @property
    def latest(self) -> int:
        """Number of the latest event."""
        return self._feed.latest

    def calls(self) -> list[dict[str, Any]]:
        """All calls in progress, oldest first."""
        return [_summary(call) for call in self._registry.going_on()]

    def call(self, name: str) -> dict[str, Any] | None:
        """One call in detail."""
        call = self._find(name)
        if call is None:
            return None
        record, screening = call.record, call.screening
        lines, spent = (screening.transcript, screening.spent) if screening is not None else ((), None)
        plain = record.as_dict()
        return _summary(call) | {
            "trigger": record.trigger,
            "legs": plain["legs"],
            "story": list(record.steps),
            "transcript": [{"speaker": each.speaker, "text": each.text, "at_s": each.at_s} for each in lines],
            "recording": record.recording,
            "voicemail": record.voicemail is not None or record.message is not None,
            "cost": spent.as_dict() if spent is not None else plain["cost"],
            **{name: plain[name] for name in ("voicemail_transcript", "message", "verification")},
        }

    def trace(self, name: str) -> list[dict[str, Any]]:
        """The SIP messages so far of one call; empty if it is not in progress, or none are captured."""
        return [dict(trace_row(message)) for message in self._messages(name)]

    async def capture(self, name: str) -> bytes:
        """The same as pcapng."""
        messages = self._messages(name)
        return await asyncio.to_thread(pcapng, messages) if messages else b""

    def _messages(self, name: str) -> list[TracedMessage]:
        if self._capture is None:
            return []
        call = self._find(name)
        return self._capture.just_over(name) if call is None else self._capture.so_far(call.legs.call_ids())

    def wish(self, name: str, wish: str, who: str, text: str) -> None:
        """Carry out a user's command. Raises LookupError and NotPossible."""
        if (call := self._find(name)) is None:
            raise LookupError(name)
        try:
            match wish:
                case "connect":
                    user_commands.connect(call, who)
                case "reject":
                    user_commands.reject(call, who)
                case "voicemail":
                    user_commands.voicemail(call, who)
                case "ask":
                    user_commands.ask(call, who, text)
                case "hang up":
                    user_commands.hang_up(call, who)
                case _:
                    raise AssertionError(wish)
        except user_commands.NotPossible as reason:
            raise NotPossible(str(reason)) from reason

    @contextmanager
    def listening(self, call: str | None) -> Iterator[EventListener]:
        """Receive the events from now on, of one call or of all."""
        if self._feed.listener_count >= MAX_LISTENERS:
            raise BackendUnavailable(f"{MAX_LISTENERS} listen already")
        with self._feed.listening(call) as listener:
            yield EventListener(listener)

    def since(self, number: int, call: str | None) -> Sequence[Event] | None:
        """Events after this number; None if they are no longer kept."""
        return self._feed.since(number, call)

    def _find(self, name: str) -> Call | None:
        return next((call for call in self._registry.going_on() if call.record.call == name), None)


class EventListener:
    """Implements `web.api.backend.Listener`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def next(self) -> Event | str:
        """The next event, or why there will be no more."""
        try:
            return await self._listener.next()
        except CutOff as cut:
            return str(cut)


def _summary(call: Call) -> dict[str, Any]:
    record: CallRecord = call.record
    return {
        "id": record.call,
        "state": user_commands.state_of(call).value,
        "began": record.began,
        "answered": record.answered,
        "ended": record.ended,
        "caller": record.caller,
        "caller_name": record.caller_name,
        "dialed": record.dialed,
        "result": record.outcome and record.outcome.result.value,
        "reason": record.outcome and record.outcome.reason,
        "plan": record.plan,
        "decision": record.decision,
        "why": record.why,
        "ended_by": record.ended_by,
    }


class Trials:
    """Implements `web.api.backend.Trials`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def tried(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate the screening rules for a made-up call."""
        options = dict(asked)
        number, dialed, at, name, again = (
            options.pop(key) for key in ("number", "to", "at", "name", "again")
        )
        work = partial(dry_run, self._settings, number, dialed, at, name, again, **options)
        try:
            found = await asyncio.to_thread(work)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        except OSError as error:  # a contact file or the database
            raise BackendUnavailable(str(error)) from error
        return {
            "caller": found.caller,
            "dialed": found.dialed,
            "at": found.at,
            "rules": [
                {"rule": rule, "decides": decision is not None, "why": why}
                for rule, decision, why in found.rules
            ],
            "action": found.decision.action.value,
            "reason": found.decision.reason,
            "done": found.done,
        }
