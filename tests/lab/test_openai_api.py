"""The simulated OpenAI over real loopback sockets: REST, WebSocket, startup and shutdown."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from proxy.lab.openai_api import OpenAiLab
from proxy.lab.openai_call import Call
from proxy.lab.openai_faults import Faults
from tests.lab.openai_kit import ACCEPT, HEADERS, KEY, QUICK, SECRET, SipNotes

pytestmark = pytest.mark.network

NOT_FOUND = {
    "error": {
        "message": "No session found for the provided call_id",
        "type": "invalid_request_error",
        "code": "call_id_not_found",
        "param": None,
    }
}


@asynccontextmanager
async def openai(faults: Faults | None = None) -> AsyncIterator[tuple[OpenAiLab, httpx2.AsyncClient]]:
    """A simulated OpenAI that sends no webhooks, and an authorized client; fails if tasks are left over."""
    before = asyncio.all_tasks()
    faults = replace(faults or Faults(), webhook_lost=True)
    lab = OpenAiLab(KEY, SECRET, "http://127.0.0.1:9/", faults, conversation=QUICK)
    bearer = {"authorization": f"Bearer {KEY}"}
    async with lab, httpx2.AsyncClient(base_url=lab.base_url, headers=bearer, trust_env=False) as client:
        yield lab, client
    assert asyncio.all_tasks() == before


def attach(lab: OpenAiLab, call: Call | str, **headers: str) -> connect:
    call_id = call if isinstance(call, str) else call.id
    bearer = {"Authorization": f"Bearer {KEY}", **headers}
    url = f"{lab.websocket_base_url}/realtime?call_id={call_id}"
    return connect(url, additional_headers=bearer, proxy=None)


async def until(socket: ClientConnection, kind: str) -> dict[str, object]:
    async for frame in socket:
        event: dict[str, object] = json.loads(frame)
        if event["type"] == kind:
            return event
    raise AssertionError(f"closed before {kind}")


async def test_accept_refer_hangup_and_reject_return_200_with_an_empty_body() -> None:
    async with openai() as (lab, client):
        call, sip = lab.incoming(HEADERS, notes := SipNotes()), notes
        for verb, body in [("accept", ACCEPT), ("refer", {"target_uri": "tel:+1"}), ("hangup", None)]:
            response = await client.post(f"realtime/calls/{call.id}/{verb}", json=body)
            assert (response.status_code, response.content) == (200, b"")
            assert response.headers["content-length"] == "0"
        assert sip.told == ["answer", "refer tel:+1", "hangup"]
        second = lab.incoming(HEADERS, sip)
        assert (await client.post(f"realtime/calls/{second.id}/reject")).status_code == 200
        assert sip.told[-1] == "reject 603"
        assert lab.live_calls == []


@pytest.mark.parametrize("verb", ["accept", "reject", "refer", "hangup"])
async def test_every_verb_for_an_unknown_call_returns_404(verb: str) -> None:
    async with openai() as (_, client):
        response = await client.post(f"realtime/calls/rtc_none/{verb}", json={"target_uri": "tel:+1"})
        assert (response.status_code, response.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("authorization", [None, "Basic abc", "Bearer", "Bearer wrong"])
async def test_accept_without_the_api_key_returns_401_and_does_nothing(authorization: str | None) -> None:
    async with openai() as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        del client.headers["authorization"]
        headers = {"authorization": authorization} if authorization else {}
        response = await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert call.accept_body is None


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("accept", b"{", "invalid_json"),
        ("accept", b"[]", "invalid_json"),
        ("reject", b'{"status_code": 200}', "invalid_value"),
        ("refer", b"{}", "missing_required_parameter"),
        ("refer", b'{"target_uri": "tel:+1", "headers": {}}', "unknown_parameter"),
    ],
)
async def test_a_malformed_body_returns_400_with_an_error_code(verb: str, body: bytes, code: str) -> None:
    async with openai() as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        response = await client.post(f"realtime/calls/{call.id}/{verb}", content=body)
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_an_unknown_url_returns_404_in_json() -> None:
    async with openai() as (_, client):
        response = await client.post("realtime/calls/rtc_1/dance")
        assert response.status_code == 404
        assert response.json()["error"]["message"] == "Invalid URL (POST /v1/realtime/calls/rtc_1/dance)"


@pytest.mark.parametrize(
    ("faults", "status", "text"),
    [
        (Faults(refer_status=500), 500, "Internal Server Error"),
        (Faults(refer_status=504), 504, "upstream request timeout"),
    ],
)
async def test_a_refer_that_fails_returns_500_or_504_in_plain_text(
    faults: Faults, status: int, text: str
) -> None:
    async with openai(faults) as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT)
        response = await client.post(f"realtime/calls/{call.id}/refer", json={"target_uri": "tel:+1"})
        assert (response.status_code, response.text) == (status, text)
        assert "x-envoy-upstream-service-time" in response.headers


async def test_the_websocket_starts_with_session_created_and_carries_events_both_ways() -> None:
    async with openai() as (lab, client):
        spoken: list[bool] = []
        call = lab.incoming(HEADERS, SipNotes(), on_speech=spoken.append)
        await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT)
        async with attach(lab, call) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"
            await socket.send('{"type": "response.create"}')
            await until(socket, "output_audio_buffer.stopped")
            await socket.send('{"type": "brand.new.event"}')
            await until(socket, "error")
        assert spoken[:2] == [True, False]
        assert [json.loads(frame)["type"] for frame in call.heard] == ["response.create", "brand.new.event"]


@pytest.mark.parametrize("why", ["unknown", "not accepted", "beta"])
async def test_a_websocket_to_an_unaccepted_call_or_with_the_beta_header_gets_404(why: str) -> None:
    async with openai() as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        if why == "beta":
            await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT)
        beta = {"OpenAI-Beta": "realtime=v1"} if why == "beta" else {}
        with pytest.raises(InvalidStatus) as refused:
            await attach(lab, "rtc_none" if why == "unknown" else call, **beta)
        assert refused.value.response.status_code == 404
        assert json.loads(refused.value.response.body or b"") == NOT_FOUND


async def test_a_websocket_with_a_wrong_api_key_gets_401() -> None:
    async with openai() as (lab, _):
        with pytest.raises(InvalidStatus) as refused:
            await attach(lab, "rtc_none", Authorization="Bearer wrong")
        assert refused.value.response.status_code == 401


async def test_when_the_call_ends_the_websocket_drops_without_a_close_frame() -> None:
    async with openai() as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT)
        async with attach(lab, call) as socket:
            await socket.recv()
            call.ended()
            with pytest.raises(ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is None
            assert socket.close_code == 1006
        with pytest.raises(InvalidStatus):
            await attach(lab, call)


async def test_a_websocket_dropped_mid_call_can_reconnect_and_the_conversation_continues() -> None:
    async with openai(Faults(ws_drop_after="output_audio_buffer.stopped")) as (lab, client):
        call = lab.incoming(HEADERS, SipNotes())
        asked = {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}
        await client.post(f"realtime/calls/{call.id}/accept", json={**ACCEPT, "audio": asked})
        async with attach(lab, call) as socket:
            await socket.send('{"type": "response.create"}')
            with pytest.raises(ConnectionClosedError):
                await until(socket, "input_audio_buffer.committed")
        async with attach(lab, call) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"
            await until(socket, "input_audio_buffer.committed")
            await socket.send('{"type": "response.create"}')
            done = await until(socket, "response.function_call_arguments.done")
            assert json.loads(str(done["arguments"]))["decision"] == "ALLOW"


async def test_the_lab_stops_despite_an_open_websocket_and_a_pending_request() -> None:
    class Deaf(SipNotes):
        asked = asyncio.Event()

        async def refer(self, target_uri: str) -> None:
            self.asked.set()
            await asyncio.Event().wait()

    async with openai() as (lab, client):
        call = lab.incoming(HEADERS, sip := Deaf())
        await client.post(f"realtime/calls/{call.id}/accept", json=ACCEPT)
        socket = await attach(lab, call)
        hanging = asyncio.create_task(
            client.post(f"realtime/calls/{call.id}/refer", json={"target_uri": "tel:+1"}, timeout=None)
        )
        await sip.asked.wait()
        await lab.__aexit__(None, None, None)
        assert (await asyncio.gather(hanging, return_exceptions=True))[0] is not None
        await socket.wait_closed()


async def test_the_lab_does_not_change_the_signal_handlers_of_the_process() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with openai():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_port_in_use_raises_an_error_at_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        lab = OpenAiLab(KEY, SECRET, "http://127.0.0.1:9/", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await lab.__aenter__()
        await lab.__aexit__(None, None, None)
