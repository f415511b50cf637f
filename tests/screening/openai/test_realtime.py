"""The Realtime adapter: events and commands; also against a real server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from screening.openai.realtime import OpenAIRealtime, parse_event
from screening.openai.session_config import InvalidSession
from screening.openai.sideband import REATTACHED
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
from tests.screening.wire import Dialer, Wire

ARGUMENTS = '{"decision": "ALLOW", "reason": "x"}'


def item(**changes: object) -> dict[str, object]:
    whole = {
        "id": "item_1",
        "object": "realtime.item",
        "type": "function_call",
        "status": "completed",
        "name": "make_screening_decision",
        "call_id": "call_1",
        "arguments": ARGUMENTS,
    }
    return whole | changes


def response(status: str, **more: object) -> dict[str, object]:
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, "output": [], **more}}


def message(**changes: object) -> dict[str, object]:
    return {"id": "item_2", "type": "message", "role": "assistant", "status": "incomplete", **changes}


VOICE: dict[str, object] = {"type": "output_audio", "transcript": "Hello, who"}
FAILED, CUT_OFF = ResponseEnded("resp_1", "failed"), ResponseEnded("resp_1", "incomplete")
CALLED = ToolCalled("call_1", "make_screening_decision", ARGUMENTS, "resp_1")
CUT = {"type": "incomplete", "reason": "max_output_tokens"}
QUOTA = {"type": "failed", "error": {"type": "server_error", "code": "insufficient_quota"}}

EVENTS: list[tuple[dict[str, object], list[Event]]] = [
    ({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1}, [CallerBegan()]),
    ({"type": "input_audio_buffer.speech_stopped"}, [CallerPaused()]),
    (
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hey there.\n"},
        [CallerSaid("Hey there.")],
    ),
    (
        {"type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1},
        [CallerPressed("9")],
    ),
    ({"type": " input_audio_buffer.dtmf_event_received", "event": "#"}, [CallerPressed("#")]),
    ({"type": "response.output_audio_transcript.done", "transcript": "Hello"}, [AgentSaid("Hello")]),
    ({"type": "response.created", "response": {"id": "resp_1"}}, [ResponseBegan("resp_1")]),
    ({"type": "output_audio_buffer.started", "response_id": "resp_1"}, [SoundBegan("resp_1")]),
    ({"type": "output_audio_buffer.stopped", "response_id": "resp_1"}, [SoundEnded("resp_1")]),
    ({"type": "output_audio_buffer.cleared", "response_id": "resp_1"}, [SoundEnded("resp_1", cut=True)]),
    ({"type": "response.output_item.done", "response_id": "resp_1", "item": item()}, [CALLED]),
    ({"type": "response.output_item.done", "response_id": "resp_1", "item": item(status="incomplete")}, []),
    ({"type": "response.output_item.done", "response_id": "resp_1", "item": item(arguments='{"deci')}, []),
    ({"type": "response.output_item.done", "response_id": "resp_1", "item": {"type": "message"}}, []),
    (
        response("completed", output=[item(), {"type": "message"}]),
        [CALLED, ResponseEnded("resp_1", "completed")],
    ),
    (response("completed", output=None), [ResponseEnded("resp_1", "completed")]),
    (
        response(
            "cancelled", output=[item()], status_details={"type": "cancelled", "reason": "turn_detected"}
        ),
        [ResponseEnded("resp_1", "cancelled", "turn_detected")],
    ),
    (response("failed", status_details=QUOTA), [ResponseEnded("resp_1", "failed", "insufficient_quota")]),
    ({"type": "error", "error": {"type": "t", "code": "c", "message": "m"}}, [ErrorReported("c", "m")]),
    ({"type": "error", "error": {"type": "t", "code": None}}, [ErrorReported("t", "")]),
    ({"type": "error", "error": {"code": "conversation_already_has_active_response"}}, [SpeechDropped()]),
    ({"type": "session.created", "session": {}}, []),
    ({"type": "brand.new.event"}, []),
    ({"type": "response.created"}, []),
    ({"type": "output_audio_buffer.started"}, []),
    ({"no": "type"}, []),
    ({"type": "screendoor.reattached"}, []),
    ({"type": "response.created", "response": {"id": {}}}, []),
    ({"type": "output_audio_buffer.started", "response_id": ["r"]}, []),
    ({"type": "response.output_item.done", "item": item(call_id=[1]), "response_id": "r"}, []),
    ({"type": "response.output_item.done", "item": item(arguments="[" * 200_000), "response_id": "r"}, []),
    (
        {
            "type": "response.done",
            "response": {"id": "r", "status": "completed", "output": [item(name=None)]},
        },
        [ResponseEnded("r", "completed")],
    ),
    (
        response("completed", output=[7, {}, item(arguments=None), item()]),
        [CALLED, ResponseEnded("resp_1", "completed")],
    ),
    (response("cancelled"), [ResponseEnded("resp_1", "cancelled")]),  # interrupted before its first word
    (response("failed", output=7, status_details="odd"), [ResponseEnded("resp_1", "failed")]),
    (
        response("incomplete", output=[{"type": "message"}], status_details=CUT),
        [ResponseEnded("resp_1", "incomplete", "max_output_tokens")],
    ),
    (response("incomplete", output=[item()]), [ResponseEnded("resp_1", "incomplete")]),
    (
        response("incomplete", output=[item(status="incomplete")], status_details=CUT),
        [ResponseEnded("resp_1", "failed", "max_output_tokens")],
    ),
    (
        response("incomplete", output=[{"type": "message"}, item(status="incomplete")]),
        [ResponseEnded("resp_1", "failed")],
    ),
    (response("incomplete", output=[{"type": "reasoning"}]), [ResponseEnded("resp_1", "failed")]),
    (
        response(
            "incomplete",
            output=[message(status="incomplete", content=[])],
            status_details={"type": "incomplete", "reason": "content_filter"},
        ),
        [ResponseEnded("resp_1", "failed", "content_filter")],
    ),
    (response("incomplete", output=[message(content=[VOICE | {"transcript": ""}])]), [FAILED]),
    (response("incomplete", output=[message(content=[VOICE])]), [CUT_OFF]),
    (response("incomplete", output=[message(content=[VOICE | {"transcript": None}])]), [CUT_OFF]),
    (response("incomplete", output=[message(content=["odd"])]), [CUT_OFF]),
    (response("incomplete", output=[{"type": "message"}]), [CUT_OFF]),
]


@pytest.mark.parametrize(("message", "events"), EVENTS)
def test_each_event_is_read_or_ignored(message: dict[str, object], events: list[Event]) -> None:
    assert parse_event(message) == events


def test_only_our_own_reattached_marker_gives_resumed() -> None:
    assert parse_event(REATTACHED) == [Resumed()]


def agent(**changes: Any) -> AgentSettings:
    return AgentSettings("a", api_key="sk-secret", **changes)


async def test_commands_are_sent_as_realtime_events() -> None:
    wire = Wire()
    provider = OpenAIRealtime(agent(), dial=Dialer(wire))
    async with provider.attach("rtc_1") as session:
        await session.speak()
        await session.speak(tools=False)
        await session.send_tool_result(CALLED, {"ok": True})
        await session.inform("The phone is busy.")
    assert wire.sent == [
        {"type": "response.create", "event_id": "screendoor-speak-1"},
        {
            "type": "response.create",
            "event_id": "screendoor-speak-2",
            "response": {"tool_choice": "none"},
        },
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "call_1", "output": '{"ok": true}'},
        },
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "system",
                "content": [{"type": "input_text", "text": "The phone is busy."}],
            },
        },
    ]
    assert wire.closed
    await provider.close()


async def test_a_tool_call_is_reported_once() -> None:
    wire = Wire()
    provider = OpenAIRealtime(agent(), dial=Dialer(wire))
    async with provider.attach("rtc_1") as session:
        events = session.events()
        wire.delivers({"type": "response.output_item.done", "response_id": "resp_1", "item": item()})
        wire.delivers(response("completed", output=[item()]))
        assert [await anext(events), await anext(events)] == [CALLED, ResponseEnded("resp_1", "completed")]
    await provider.close()


def test_invalid_settings_raise_at_construction() -> None:
    with pytest.raises(InvalidSession):
        OpenAIRealtime(agent(voice="bob"))
    with pytest.raises(ValueError, match="api_base"):
        OpenAIRealtime(agent(api_base="api.openai.com"))


class Vendor:
    """The vendor's REST API and WebSocket on one loopback port."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any, str | None]] = []
        self.heard: list[Mapping[str, Any]] = []
        self.accept_answers = [404, 200]
        routes = [
            Route("/v1/realtime/calls/{call}/{verb}", self._post, methods=["POST"]),
            WebSocketRoute("/v1/realtime", self._sideband),
        ]
        self.app = Starlette(routes=routes)

    async def _post(self, request: Request) -> Response:
        body = await request.body()
        self.posts.append(
            (
                request.path_params["verb"],
                json.loads(body) if body else None,
                request.headers.get("authorization"),
            )
        )
        status = 200
        match request.path_params["verb"]:
            case "accept":
                status = self.accept_answers.pop(0)
            case "hangup":
                status = 404
        error = {
            "error": {"message": "No session found for the provided call_id", "code": "call_id_not_found"}
        }
        return JSONResponse(error, 404) if status == 404 else Response(status_code=status)

    async def _sideband(self, websocket: WebSocket) -> None:
        assert websocket.query_params["call_id"] == "rtc_1"
        assert websocket.headers["authorization"] == "Bearer sk-secret"
        await websocket.accept()
        self.heard.append(await websocket.receive_json())
        await websocket.send_json({"type": "session.created"})
        await websocket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        await websocket.receive()


@asynccontextmanager
async def vendor_on_loopback() -> AsyncIterator[tuple[Vendor, str]]:
    vendor = Vendor()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(vendor.app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield vendor, f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await serving


@pytest.mark.network
async def test_a_complete_call_works_against_a_real_server() -> None:
    async with vendor_on_loopback() as (vendor, base):
        async with httpx2.AsyncClient() as http:
            provider = OpenAIRealtime(agent(api_base=base), http)
            await provider.accept("rtc_1")
            async with provider.attach("rtc_1") as session:
                await session.speak()
                assert await anext(session.events()) == ResponseBegan("resp_1")
            await provider.refer("rtc_1", "tel:+14155550123")
            await provider.hang_up("rtc_1")
        assert [verb for verb, _, _ in vendor.posts] == ["accept", "accept", "refer", "hangup"]
        assert vendor.posts[1][1]["type"] == "realtime"
        assert vendor.posts[2][1] == {"target_uri": "tel:+14155550123"}
        assert {key for _, _, key in vendor.posts} == {"Bearer sk-secret"}
        assert vendor.heard == [{"type": "response.create", "event_id": "screendoor-speak-1"}]


async def test_greeting_forced_tool_and_interruption_are_sent_as_realtime_events() -> None:
    wire = Wire()
    provider = OpenAIRealtime(agent(), dial=Dialer(wire))
    async with provider.attach("rtc_1") as session:
        await session.speak(tools=False, say="Say hello.")
        await session.speak(must_call="make_screening_decision")
        await session.allow_interruption()
    assert [message.get("response") for message in wire.sent[:2]] == [
        {"instructions": "Say hello.", "tool_choice": "none"},
        {"tool_choice": {"type": "function", "name": "make_screening_decision"}},
    ]
    assert wire.sent[2] == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "semantic_vad",
                        "eagerness": "auto",
                        "create_response": True,
                        "interrupt_response": True,
                    }
                }
            },
        },
    }
    await provider.close()


async def test_without_turn_detection_allow_interruption_sends_nothing() -> None:
    wire = Wire()
    extra = {"audio": {"input": {"turn_detection": None}}}
    provider = OpenAIRealtime(agent(extra=extra), dial=Dialer(wire))
    async with provider.attach("rtc_1") as session:
        await session.allow_interruption()
    assert wire.sent == []
    await provider.close()
