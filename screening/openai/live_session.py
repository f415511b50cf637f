"""A Live session as a `provider.Session`: transcript deltas become lines, tools belong to the delegate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any

import structlog

from screening.condition import Condition
from screening.openai import live_prompt
from screening.openai.live_client import ClientDelegate
from screening.openai.live_delegation import MAX_FAILURES, Delegation
from screening.openai.live_transcript import AGENT, CALLER, LiveTranscript
from screening.openai.live_usage import SessionDuration
from screening.openai.realtime import SPEAK_EVENT_PREFIX, error_reported
from screening.openai.sideband import REATTACHED, Sideband
from screening.provider import (
    AgentSaid,
    CallerPressed,
    CallerSaid,
    Closed,
    Event,
    ProviderError,
    Resumed,
    ToolCalled,
)

log = structlog.get_logger("screendoor")

STARTED_LIMIT_S = 2.0
"""How long to wait for ``session.started`` before the greeting; it never comes if we attached too late."""
TRANSCRIPT_LAG_LIMIT_S = 1.0
"""How long the transcript may lag behind a delegation."""
MAX_QUEUED = 256
MAX_REMEMBERED = 1024
CLOSE_REASONS: Mapping[str, str] = {
    "close_requested": "the session was closed",
    "expired": "the session has reached the vendor's time limit",
    "content": "the vendor's safety filter ended the session",
    "remote_hangup": "the agent's call was hung up",
    "connection_lost": "the vendor has lost the agent's audio",
}
"""Meaning of the ``reason`` of ``session.closed``."""

Message = Mapping[str, Any]


class LiveSession:
    """One session; a separate task runs `read` to receive what the vendor sends."""

    def __init__(self, sideband: Sideband, client: ClientDelegate | None, delegate: str = "") -> None:
        """`delegate` is the delegate model if the vendor runs it."""
        self._sideband = sideband
        self._client = client
        self._transcript = LiveTranscript()
        self._delegation = Delegation(delegate)
        self._duration = SessionDuration()
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[Message | tuple[Event, ...] | None] = asyncio.Queue(MAX_QUEUED)
        self._started = asyncio.Event()
        self._caller_heard = Condition()
        self._seen: dict[str, None] = {}
        self._asking_task: asyncio.Task[None] | None = None
        self._latest_delegation: tuple[str, int] | None = None
        self._delegation_of: dict[str, str] = {}
        self._failed = self._speak_requests = 0
        self._next_words = live_prompt.GREET

    # Receiving.

    async def read(self) -> None:
        """Queue messages until the session is over; a slow reader throttles the vendor."""
        try:
            async for message in self._sideband.messages():
                if message.get("type") == "session.started":
                    self._started.set()
                await self._incoming.put(message)
                if message.get("type") == "session.closed":
                    break
        finally:
            self._sideband.end()  # nobody is left to reattach
            self._started.set()
        await self._incoming.put(None)

    async def close(self) -> None:
        """Cancel a pending request to the delegate."""
        if self._asking_task is not None:
            self._asking_task.cancel()
            await asyncio.gather(self._asking_task, return_exceptions=True)

    async def events(self) -> AsyncIterator[Event]:
        while True:
            came = await self._next()
            for event in self._transcript.close_finished(self._loop.time()):
                yield self._note(event)
            if came is None:
                break
            for event in came if isinstance(came, tuple) else self._read(came):
                yield self._note(event)
                if isinstance(event, Closed):
                    self._sideband.end()
                    return
            if self._delegation.may_continue():
                with suppress(ProviderError):
                    await self._sideband.send({"type": "response.create"})
        for event in self._transcript.close():
            yield self._note(event)

    async def _next(self) -> Message | tuple[Event, ...] | None:
        """Return the next message or events; an empty tuple if a line is due to end first."""
        try:
            async with asyncio.timeout_at(self._transcript.due):
                return await self._incoming.get()
        except TimeoutError:
            return ()

    def _note(self, event: Event) -> Event:
        if self._client is not None:
            match event:
                case CallerSaid(text):
                    self._client.note(CALLER, text)
                case AgentSaid(text):
                    self._client.note(AGENT, text)
                case CallerPressed(key):
                    self._client.note(CALLER, f"[pressed {key}]")
                case _:
                    pass
        return event

    def _read(self, message: Message) -> list[Event]:
        """Convert one vendor event; unknown, malformed and repeated ones yield nothing."""
        try:
            return [] if self._seen_before(message) else list(self._events(message))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            return []

    def _seen_before(self, message: Message) -> bool:
        """Whether the event was seen before: after a gap the vendor repeats the last seconds."""
        name = message.get("event_id")
        if not isinstance(name, str) or len(name) > MAX_REMEMBERED:
            return False
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def _events(self, message: Message) -> Iterator[Event]:
        match message["type"]:
            case "session.input_transcript.delta":
                yield from self._delta(CALLER, message)
                self._caller_heard.notify_all()
            case "session.output_transcript.delta":
                yield from self._delta(AGENT, message)
            case "transport.dtmf.received":
                yield CallerPressed(str(message["event"])[:1])
            case "session.delegation.created":
                self._delegated(message)
            case "response.event":
                yield from self._delegation.process(message["event"], self._transcript.agent_response)
            case "session.usage.updated":
                yield from self._duration.increase(message.get("usage"))
            case "session.closed":
                reason = str(message.get("reason"))
                yield from self._transcript.close()
                yield from self._duration.increase(message.get("usage"))
                yield Closed(CLOSE_REASONS.get(reason, f"the session was closed: {reason[:40]}"))
            case "error":
                error = message["error"]
                yield error_reported(error, error.get("client_event_id"))
            case "screendoor.reattached" if message is REATTACHED:
                self._delegation.forget()
                yield from self._transcript.close()
                yield Resumed()

    def _delta(self, speaker: str, message: Message) -> list[Event]:
        piece, start_ms, end_ms = message["delta"], message["start_ms"], message["end_ms"]
        if not isinstance(piece, str):
            raise TypeError("a piece without a text")
        return self._transcript.add(speaker, piece, int(start_ms), int(end_ms), self._loop.time())

    # Sending.

    async def speak(
        self, *, tools: bool = True, say: str | None = None, must_call: str | None = None
    ) -> None:
        """Have the voice say `say`, or react to what it was last told; at first, greet the caller."""
        if not self._started.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(STARTED_LIMIT_S):
                    await self._started.wait()
            self._started.set()  # wait once only
        words, self._next_words = self._next_words, live_prompt.CARRY_ON
        if must_call is not None:
            words = live_prompt.MUST.format(tool=must_call)
        self._speak_requests += 1
        await self._append(
            "instructions",
            live_prompt.SPEAK + (say or words),
            named=f"{SPEAK_EVENT_PREFIX}{self._speak_requests}",
        )

    async def allow_interruption(self) -> None:
        """Do nothing: a Live voice can always be interrupted."""

    async def send_tool_result(self, call: ToolCalled, output: Mapping[str, object]) -> None:
        self._next_words = live_prompt.next_words(output) or self._next_words
        text = json.dumps(output)
        if self._client is not None:
            self._client.note("tool", f"{call.name} answered {text}")
            await self._append("thinking", text, self._delegation_of.pop(call.id, None))
            return
        item = {"type": "function_call_output", "call_id": call.id, "output": text}
        await self._sideband.send({"type": "response.item.create", "item": item})
        self._delegation.result_sent(call.id)
        if self._delegation.may_continue():
            await self._sideband.send({"type": "response.create"})

    async def inform(self, text: str) -> None:
        self._next_words = text
        if self._client is not None:
            self._client.note("note", text)
        await self._append("instructions", live_prompt.NOTE + text)

    async def _append(self, what: str, text: str, delegation: str | None = None, *, named: str = "") -> None:
        message = {"content": live_prompt.truncated(text), "delegation_id": delegation}
        event_id = {"event_id": named} if named else {}
        await self._sideband.send({"type": f"session.{what}.append", **event_id, **message})

    # The delegate, if we run it.

    def _delegated(self, message: Message) -> None:
        delegation = message["delegation"]
        if delegation["target"] != "client" or self._client is None:
            return
        self._latest_delegation = (str(delegation["id"]), int(message["offset_ms"]))
        if self._asking_task is None or self._asking_task.done():
            self._asking_task = self._loop.create_task(self._ask(self._client), name="live delegate")

    async def _ask(self, client: ClientDelegate) -> None:
        """Ask the model about the latest delegation, again if there was another meanwhile."""
        while self._latest_delegation is not None:
            (delegation, offset_ms), self._latest_delegation = self._latest_delegation, None
            await self._wait_for_transcript(offset_ms)
            try:
                answer = await client.ask(self._transcript.agent_response, self._transcript.unfinished)
            except ProviderError as error:
                await self._delegate_failed(delegation, error)
                continue
            self._failed = 0
            self._delegation_of |= dict.fromkeys((call.id for call in answer.calls), delegation)
            await self._incoming.put((*answer.used, *answer.calls))
            if answer.text and not answer.calls:
                with suppress(ProviderError):
                    await self._append("commentary", answer.text, delegation)

    async def _wait_for_transcript(self, offset_ms: int) -> None:
        """Wait until the transcript reaches `offset_ms`, or lags too far behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TRANSCRIPT_LAG_LIMIT_S):
                await self._caller_heard.wait_for(lambda: self._transcript.caller_until_ms >= offset_ms)

    async def _delegate_failed(self, delegation: str, error: ProviderError) -> None:
        log.warning("the delegate was not asked", why=str(error))
        self._failed += 1
        if self._failed >= MAX_FAILURES:
            await self._incoming.put((Closed(f"the delegate cannot think: {error}"),))
        with suppress(ProviderError):
            await self._append("commentary", live_prompt.UNHEARD, delegation)
