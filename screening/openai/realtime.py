"""OpenAI's Realtime API as a `Provider`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2

from screening.openai.rest import OpenAICalls, authorization, http_client
from screening.openai.session_config import accept_body, turn_detection
from screening.openai.sideband import REATTACHED, Dial, Sideband, dial, sideband_url
from screening.openai.usage import object_at, response_usage, transcript_usage
from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    CallerPressed,
    CallerSaid,
    ErrorReported,
    Event,
    ResponseBegan,
    ResponseEnded,
    Resumed,
    SoundBegan,
    SoundEnded,
    SpeechDropped,
    ToolCalled,
)
from screening.settings import AgentSettings
from screening.talk.briefing import Briefing

MAX_TOOL_CALLS = 200
"""Maximum tool calls in one session; further ones are ignored."""
SPEECH_FAILED_CODES = frozenset({"insufficient_quota", "credit_balance_exhausted", "rate_limit_exceeded"})
"""Error codes of an account that cannot generate any more responses."""
SPEAK_EVENT_PREFIX = "screendoor-speak-"
"""Prefix of the ids of our ``response.create`` events: an error about one means that no response
will come.
"""
RESPONSE_ACTIVE = "conversation_already_has_active_response"
"""Error code for a ``response.create`` sent while another response is generated."""


class OpenAIRealtime:
    """One agent at OpenAI; raises `InvalidSession` or ValueError if its settings cannot work."""

    def __init__(
        self, agent: AgentSettings, http: httpx2.AsyncClient | None = None, dial: Dial = dial
    ) -> None:
        self._agent = agent
        self._http = http or http_client()
        self._dial = dial
        body = accept_body(agent)
        self._calls = OpenAICalls(agent, body, self._http)
        self._detection = turn_detection(body)
        sideband_url(agent.api_base, "")  # fail at startup, not at the first call
        self.reject = self._calls.reject
        self.refer = self._calls.refer
        self.hang_up = self._calls.hang_up

    async def accept(self, call_id: str, briefing: Briefing | None = None) -> None:
        await self._calls.accept(call_id, accept_body(self._agent, briefing) if briefing else None)

    @asynccontextmanager
    async def attach(self, call_id: str) -> AsyncIterator[OpenAISession]:
        """Open the sideband of an accepted call."""
        url = sideband_url(self._agent.api_base, call_id)
        sideband = Sideband(url, authorization(self._agent), self._dial)
        await sideband.open()
        try:
            yield OpenAISession(sideband, self._detection)
        finally:
            await sideband.close()

    async def close(self) -> None:
        await self._http.aclose()


class OpenAISession:
    """Implements `provider.Session` on top of the sideband."""

    def __init__(self, sideband: Sideband, detection: Mapping[str, object] | None = None) -> None:
        """`detection` is the session's turn detection; None if it is off."""
        self._sideband = sideband
        self._detection = detection
        self._tool_calls: set[str] = set()
        self._speak_requests = 0

    async def events(self) -> AsyncIterator[Event]:
        async for message in self._sideband.messages():
            for event in parse_event(message):
                if isinstance(event, ToolCalled):
                    if event.id in self._tool_calls or len(self._tool_calls) >= MAX_TOOL_CALLS:
                        continue
                    self._tool_calls.add(event.id)
                yield event

    async def speak(
        self, *, tools: bool = True, say: str | None = None, must_call: str | None = None
    ) -> None:
        response: dict[str, object] = {}
        if say is not None:
            response["instructions"] = say
        if must_call is not None:
            response["tool_choice"] = {"type": "function", "name": must_call}
        elif not tools:
            response["tool_choice"] = "none"
        self._speak_requests += 1
        message: dict[str, object] = {
            "type": "response.create",
            "event_id": f"{SPEAK_EVENT_PREFIX}{self._speak_requests}",
        }
        await self._sideband.send(message | {"response": response} if response else message)

    async def allow_interruption(self) -> None:
        if self._detection is None:
            return
        # Only this: updates that include formats, tools or a voice have silenced calls.
        detection = {**self._detection, "interrupt_response": True}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await self._sideband.send({"type": "session.update", "session": session})

    async def send_tool_result(self, call: ToolCalled, output: Mapping[str, object]) -> None:
        item = {"type": "function_call_output", "call_id": call.id, "output": json.dumps(output)}
        await self._sideband.send({"type": "conversation.item.create", "item": item})

    async def inform(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "system", "content": content}
        await self._sideband.send({"type": "conversation.item.create", "item": item})


def parse_event(message: Mapping[str, Any]) -> list[Event]:
    """Convert one vendor event; unknown, malformed and unused ones yield nothing.

    A tool call may be reported twice, by its item and by the whole response.
    """
    try:
        return list(_events(message))
    except (KeyError, TypeError, AttributeError):  # an unknown shape
        return []


def _events(message: Mapping[str, Any]) -> Iterator[Event]:
    # One sample in the vendor's reference has a space before the type.
    match str(message["type"]).strip():
        case "input_audio_buffer.speech_started":
            yield CallerBegan()
        case "input_audio_buffer.speech_stopped":
            yield CallerPaused()
        case "conversation.item.input_audio_transcription.completed":
            yield CallerSaid(message["transcript"].strip())
            yield from transcript_usage(message.get("usage"))
        case "input_audio_buffer.dtmf_event_received":
            yield CallerPressed(str(message["event"])[:1])
        case "response.output_audio_transcript.done":
            yield AgentSaid(message["transcript"].strip())
        case "response.created":
            yield ResponseBegan(_text(message["response"]["id"]))
        case "output_audio_buffer.started":
            yield SoundBegan(_text(message["response_id"]))
        case "output_audio_buffer.stopped":
            yield SoundEnded(_text(message["response_id"]))
        case "output_audio_buffer.cleared":
            yield SoundEnded(_text(message["response_id"]), cut=True)
        case "response.output_item.done":
            yield from _item_done(message["item"], _text(message["response_id"]))
        case "response.done":
            yield from _response_done(message["response"])
        case "error":
            error = message["error"]
            yield (
                SpeechDropped()
                if error.get("code") == RESPONSE_ACTIVE
                else error_reported(error, error.get("event_id"))
            )
        case "screendoor.reattached" if message is REATTACHED:
            yield Resumed()


def error_reported(error: Mapping[str, Any], of: object) -> ErrorReported:
    """Convert a vendor's error; `of` is the id of our event that it is about, if any."""
    code = str(error.get("code") or error.get("type"))
    speech_failed = code in SPEECH_FAILED_CODES or (isinstance(of, str) and of.startswith(SPEAK_EVENT_PREFIX))
    return ErrorReported(code, str(error.get("message", "")), speech_failed)


def _item_done(item: Mapping[str, Any], response: str) -> Iterator[Event]:
    """Items are also done when a response is cut off: then they are not ``completed``, or not JSON."""
    if item["type"] == "function_call" and item["status"] == "completed" and _is_json(item["arguments"]):
        yield _tool_called(item, response)


def _response_done(response: Mapping[str, Any]) -> Iterator[Event]:
    status, output = response["status"], response.get("output")
    output = output if isinstance(output, list) else []
    if status == "completed":
        yield from _tools_called(output, _text(response["id"]))
    elif status == "incomplete" and not _has_useful_output(output):
        status = "failed"  # the caller hears nothing, or waits in vain
    details = object_at(response, "status_details")
    error = object_at(details, "error")
    code = error.get("code") or error.get("type") or details.get("reason")
    yield ResponseEnded(_text(response["id"]), status, code)
    yield from response_usage(response.get("usage"))


def _tools_called(output: Iterable[Any], response: str) -> Iterator[ToolCalled]:
    """Yield the tool calls that can be read; a malformed one must not hide that the response has ended."""
    for item in output:
        with suppress(KeyError, TypeError):
            if item["type"] == "function_call":
                yield _tool_called(item, response)


def _has_useful_output(output: Iterable[Any]) -> bool:
    """Whether a cut-off response said something or called a tool, and left no tool call incomplete."""
    items = [item for item in output if isinstance(item, Mapping)]
    called = [item.get("status") == "completed" for item in items if item.get("type") == "function_call"]
    return all(called) and (
        bool(called) or any(item.get("type") == "message" and _has_speech(item) for item in items)
    )


def _has_speech(item: Mapping[str, Any]) -> bool:
    """Whether any of a message was spoken; if cut off early, it has no content, or an empty transcript."""
    content = item.get("content")
    parts = content if isinstance(content, list) else [None]
    return any(not isinstance(part, Mapping) or part.get("transcript") != "" for part in parts)


def _tool_called(item: Mapping[str, Any], response: str) -> ToolCalled:
    return ToolCalled(_text(item["call_id"]), _text(item["name"]), _text(item["arguments"]), response)


def _text(value: object) -> str:
    """Return `value` if it is a string; raises TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"no text: {type(value).__name__}")
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
