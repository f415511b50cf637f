"""Contract test of the simulated Live API with OpenAI's unmodified SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.live.connect_server_event import ConnectServerEvent
from openai.types.responses import ResponseStreamEvent
from openai.types.webhooks import LiveTransportIncomingWebhookEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from proxy.lab.openai_call import Accepted, Call, Rejected
from proxy.lab.openai_conversation import GOODBYES, TOOL
from proxy.lab.openai_faults import Faults
from screening.openai import live_prompt
from screening.openai.live_session_config import accept_body
from screening.settings import AgentSettings
from tests.lab.openai_kit import HEADERS, QUICK, SipNotes
from tests.lab.test_openai_sdk import sdk

pytestmark = pytest.mark.network

SESSION: Any = accept_body(AgentSettings("a", "openai-live", model="gpt-live-1"))["session"]


async def speak(connection: Any, words: str) -> None:
    await connection.session.instructions.append(content=live_prompt.SPEAK + words, delegation_id=None)


async def talked(connection: Any) -> list[str]:
    """Act as a screener until the goodbye is spoken; return what each side said."""
    said: dict[str, str] = {"input": "", "output": ""}
    goodbye = GOODBYES["ALLOW"]
    answered = gone_on = False
    await speak(connection, "Greet.")
    async for event in connection:
        match event.type:
            case "session.input_transcript.delta":
                said["input"] += event.delta
            case "session.output_transcript.delta":
                said["output"] += event.delta
                if said["output"].endswith(goodbye):
                    return [said["output"], said["input"]]
            case "response.event" if event.event["type"] == "response.output_item.done" and not answered:
                answered = True
                item = event.event["item"]
                assert item["name"] == TOOL
                output = {"type": "function_call_output", "call_id": item["call_id"], "output": "{}"}
                await connection.response.item.create(item=output)
            case "response.event" if event.event["type"] == "response.completed" and not gone_on:
                gone_on = True
                await connection.response.create()
                await speak(connection, "Say goodbye now.")
    raise AssertionError("closed before the goodbye")


def check_every_event(call: Call) -> None:
    """Check that each event the simulator sent, and each nested one, is a server event of the SDK."""
    known: TypeAdapter[Any] = TypeAdapter(ConnectServerEvent)
    streamed: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in call.sent:
        assert known.validate_python(event).type == event["type"]
        if event["type"] == "response.event":
            inner: Any = event["event"]
            assert streamed.validate_python(inner).type == inner["type"]


async def accepted(client: AsyncOpenAI, call: Call) -> None:
    await client.live.sessions.accept(call.live_id, session=SESSION)


async def test_accept_refer_hangup_and_reject_work_with_the_sdk() -> None:
    async with sdk() as (lab, client, _):
        sip = SipNotes()
        call = lab.incoming(HEADERS, sip, "srtp")
        await accepted(client, call)
        assert isinstance(await call.decided(), Accepted)
        assert call.live
        await client.live.sessions.refer(call.live_id, target_uri="tel:+14155550123")
        await client.live.sessions.hangup(call.live_id)
        assert sip.told == ["answer", "refer tel:+14155550123", "hangup"]
        other = lab.incoming(HEADERS, SipNotes(), "srtp")
        await client.live.sessions.reject(other.live_id, status_code=486)
        assert await other.decided() == Rejected(486)


async def test_a_whole_conversation_runs_over_the_sdks_sideband() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        await accepted(client, call)
        async with client.live.sideband.connect(session_id=call.live_id) as connection:
            agent, caller = await talked(connection)
        assert agent == QUICK.greeting + GOODBYES["ALLOW"]
        assert caller == QUICK.caller_lines[0]
        check_every_event(call)


async def test_a_session_that_ends_sends_session_closed_with_the_reason() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        await accepted(client, call)
        async with client.live.sideband.connect(session_id=call.live_id, max_retries=0) as connection:
            assert (await connection.recv()).type == "session.started"
            await client.live.sessions.hangup(call.live_id)
            last = await connection.recv()
            assert (last.type, last.reason) == ("session.closed", "close_requested")
        check_every_event(call)


async def test_the_live_webhook_unwraps_to_the_sdks_event_after_the_realtime_one() -> None:
    async with sdk(Faults(live_twin=True)) as (lab, client, door):
        lab.api = "live"
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        twin = client.webhooks.unwrap(*await door.posted.get())
        assert twin.type == "realtime.call.incoming"
        event = client.webhooks.unwrap(*await door.posted.get())
        assert isinstance(event, LiveTransportIncomingWebhookEvent)
        assert (event.data.session_id, event.data.type) == (call.live_id, "sip")


async def test_a_call_accepted_by_live_cannot_be_accepted_or_joined_by_realtime() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        await accepted(client, call)
        with pytest.raises(openai.BadRequestError) as refused:
            await client.realtime.calls.accept(call.id, type="realtime", model="gpt-realtime-2.1")
        assert refused.value.code == "decision_already_made"
        with pytest.raises(openai.NotFoundError):
            await client.realtime.calls.hangup(call.id)
        with pytest.raises(InvalidStatus):
            async with client.realtime.connect(call_id=call.id):
                pass


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tools": []}, "session.tools"),
        ({"audio": {"format": {"type": "pcm"}}}, "session.audio.format"),
        ({"type": "realtime"}, "session.type"),
        ({"delegation": {"type": "responses", "responses": {"model": "m", "max_tokens": 1}}},
         "session.delegation.responses.max_tokens"),
        ({"delegation": {"type": "oracle"}}, "session.delegation.type"),
    ],
)  # fmt: skip
async def test_an_accept_with_unknown_session_fields_gets_400_with_the_parameter(
    changes: dict[str, Any], param: str
) -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        with pytest.raises(openai.BadRequestError) as refused:
            await client.live.sessions.accept(call.live_id, session=SESSION | changes)
        assert refused.value.param == param
        assert not call.live


async def test_an_accept_without_the_session_key_or_without_srtp_gets_400() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        with pytest.raises(openai.BadRequestError) as refused:
            await client.post(f"/live/sessions/{call.live_id}/accept", body=SESSION, cast_to=object)
        assert refused.value.param == "session"
        plain = lab.incoming(HEADERS, SipNotes(), "rtp")
        with pytest.raises(openai.BadRequestError, match="SRTP"):
            await accepted(client, plain)


WRONG: list[tuple[dict[str, Any] | str, str]] = [
    ("{", "invalid_event"),
    ({"type": "response.cancel"}, "invalid_event"),
    ({"type": "session.instructions.append", "content": "x"}, "missing_required_parameter"),
    ({"type": "session.instructions.append", "content": [], "delegation_id": None}, "invalid_type"),
    ({"type": "session.thinking.append", "content": "x" * 9000, "delegation_id": None},
     "string_above_max_length"),
    ({"type": "session.commentary.append", "content": "x", "delegation_id": "no"}, "invalid_delegation"),
    ({"type": "response.create", "response": {}}, "unknown_parameter"),
    ({"type": "response.create"}, "invalid_event"),
    ({"type": "response.item.create", "item": {"type": "function_call_output", "call_id": "no"}},
     "invalid_value"),
    ({"type": "session.update", "session": {"instructions": "x"}}, "unknown_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "code"), WRONG)
async def test_an_unknown_malformed_or_out_of_order_client_event_gets_an_error_event(
    frame: dict[str, Any] | str, code: str
) -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        await accepted(client, call)
        named = frame if isinstance(frame, str) else frame | {"event_id": "mine"}
        call.hear(named if isinstance(named, str) else json.dumps(named))
        error: Any = call.sent[-1]
        assert (error["type"], error["error"]["code"]) == ("error", code)
        assert error["error"].get("client_event_id") == (None if isinstance(frame, str) else "mine")
        check_every_event(call)


async def test_a_client_side_delegation_is_answered_through_the_responses_api() -> None:
    async with sdk() as (lab, client, _):
        call = lab.incoming(HEADERS, SipNotes(), "srtp")
        session = SESSION | {"delegation": {"type": "client"}}
        await client.live.sessions.accept(call.live_id, session=session)
        async with client.live.sideband.connect(session_id=call.live_id) as connection:
            await speak(connection, "Greet.")
            async for event in connection:
                if event.type == "session.delegation.created":
                    break
            assert event.delegation.target == "client"
            thought = await client.responses.create(
                model="gpt-5.6-luna", input="The talk.", metadata={"session_id": call.live_id}
            )
            [item] = thought.output
            assert (item.type, item.name) == ("function_call", TOOL)
            await connection.session.thinking.append(content="noted", delegation_id=event.delegation.id)
            assert (await connection.recv()).type in ("session.thinking.appended", "session.usage.updated")
        check_every_event(call)
