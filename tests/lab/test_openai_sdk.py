"""Contract test of the simulated OpenAI with OpenAI's unmodified SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeFunctionTool, RealtimeServerEvent
from openai.types.webhooks import LiveTransportIncomingWebhookEvent, RealtimeCallIncomingWebhookEvent
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.exceptions import InvalidStatus

from proxy.lab.openai_api import OpenAiLab
from proxy.lab.openai_call import Accepted, Call, Rejected
from proxy.lab.openai_conversation import GOODBYES, TOOL
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_server import loopback_server
from tests.lab.openai_kit import HEADERS, KEY, QUICK, SECRET, SipNotes

pytestmark = pytest.mark.network


class Door:
    """A web server that stores the requests posted to it."""

    def __init__(self) -> None:
        self.posted: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()

    async def take(self, request: Request) -> Response:
        self.posted.put_nowait((await request.body(), dict(request.headers)))
        return Response()


@asynccontextmanager
async def sdk(faults: Faults | None = None) -> AsyncIterator[tuple[OpenAiLab, AsyncOpenAI, Door]]:
    door = Door()
    server = loopback_server(Starlette(routes=[Route("/hook", door.take, methods=["POST"])]))
    async with server, OpenAiLab(KEY, SECRET, "", faults or Faults(), conversation=QUICK) as lab:
        lab.webhook_url = f"http://127.0.0.1:{server.port}/hook"
        client = AsyncOpenAI(
            api_key=KEY,
            base_url=lab.base_url,
            websocket_base_url=lab.websocket_base_url,
            webhook_secret=SECRET,
            max_retries=0,
        )
        yield lab, client, door
        await client.close()


async def accept(client: AsyncOpenAI, call_id: str) -> None:
    tool = RealtimeFunctionTool(type="function", name=TOOL, parameters={"type": "object"})
    await client.realtime.calls.accept(
        call_id,
        type="realtime",
        model="gpt-realtime-2.1",
        audio={"input": {"transcription": {"model": "gpt-transcribe"}}},
        tools=[tool.to_dict()],  # type: ignore[list-item]
    )


async def test_accept_refer_and_hangup_work_with_the_sdk() -> None:
    async with sdk() as (lab, client, _):
        sip = SipNotes()
        call = lab.incoming(HEADERS, sip)
        await accept(client, call.id)
        decision = await call.decided()
        assert isinstance(decision, Accepted)
        assert decision.body["model"] == "gpt-realtime-2.1"
        await client.realtime.calls.refer(call.id, target_uri="tel:+14155550123")
        await client.realtime.calls.hangup(call.id)
        assert sip.told == ["answer", "refer tel:+14155550123", "hangup"]


@pytest.mark.parametrize(("asked", "status"), [(486, 486), (None, 603)])
async def test_reject_sends_the_given_status_or_603(asked: int | None, status: int) -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes())
        if asked is None:
            await client.realtime.calls.reject(call.id)
        else:
            await client.realtime.calls.reject(call.id, status_code=asked)
        assert await call.decided() == Rejected(status)


async def test_errors_are_raised_as_the_sdks_exceptions() -> None:
    async with sdk(Faults(refer_status=500)) as (lab, client, _):
        with pytest.raises(openai.NotFoundError) as missing:
            await client.realtime.calls.hangup("rtc_none")
        assert missing.value.code == "call_id_not_found"
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="wrong").realtime.calls.hangup("rtc_none")
        call = lab.incoming(HEADERS, SipNotes())
        await accept(client, call.id)
        with pytest.raises(openai.InternalServerError):
            await client.realtime.calls.refer(call.id, target_uri="tel:+1")


async def test_a_whole_conversation_runs_over_the_sdks_realtime_connection() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes())
        await accept(client, call.id)
        async with client.realtime.connect(call_id=call.id) as connection:
            said = await talk(connection)
        assert said == [QUICK.greeting, QUICK.caller_lines[0], GOODBYES["ALLOW"]]
        check_every_event(call)


async def talk(connection: AsyncRealtimeConnection) -> list[str]:
    """Act as a screener; return what either side said, in order."""
    said: list[str] = []
    tool_call, over = None, False
    async for event in connection:
        match event.type:
            case "session.created":
                await connection.response.create()
            case "response.output_audio_transcript.done":
                said.append(event.transcript)
            case "conversation.item.input_audio_transcription.completed":
                said.append(event.transcript)
            case "response.function_call_arguments.done":
                tool_call = event.call_id
            case "response.done" if tool_call is not None and not over:
                over = True
                output = {"type": "function_call_output", "call_id": tool_call, "output": "{}"}
                await connection.conversation.item.create(item=output)  # type: ignore[arg-type]
                await connection.response.create()
            case "output_audio_buffer.stopped" if over:
                return said
    raise AssertionError("closed before the goodbye")


def check_every_event(call: Call) -> None:
    """Check that each event the simulator sent parses as the SDK's server event of that type."""
    known: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)
    for event in call.sent:
        assert known.validate_python(event).type == event["type"]


async def test_connecting_to_an_unknown_call_gets_404() -> None:
    async with sdk() as (_, client, _):
        with pytest.raises(InvalidStatus) as refused:
            async with client.realtime.connect(call_id="rtc_none"):
                pass
        assert refused.value.response.status_code == 404


async def test_the_webhook_unwraps_to_the_sdks_event() -> None:
    async with sdk(Faults(live_twin=True)) as (lab, client, door):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        twin = client.webhooks.unwrap(*await door.posted.get())
        assert isinstance(twin, LiveTransportIncomingWebhookEvent)
        assert twin.data.type == "sip"
        event = client.webhooks.unwrap(*await door.posted.get())
        assert isinstance(event, RealtimeCallIncomingWebhookEvent)
        assert event.data.call_id == call.id
        assert event.data.sip_media_security == "srtp"
        twice = [header.value for header in event.data.sip_headers if header.name == "X-Twice"]
        assert twice == ["one", "two"]


async def test_unwrapping_a_forged_webhook_raises_an_error() -> None:
    async with sdk(Faults(webhook_forged="signature")) as (lab, client, door):
        lab.incoming(HEADERS, SipNotes())
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(*await door.posted.get())
        client.webhooks.unwrap(*await door.posted.get())
