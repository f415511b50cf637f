"""The sideband against a scripted vendor in virtual time, and against a real server on loopback."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Mapping
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from screening.openai.sideband import REATTACHED, CallOver, Sideband, dial, sideband_url
from screening.provider import ProviderError
from tests.screening.wire import Dialer, Wire

HEADERS = {"Authorization": "Bearer sk-secret"}


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?call_id=rtc_1%2F%26"),
        ("https://eu.api.openai.com/v1/", "wss://eu.api.openai.com/v1/realtime?call_id=rtc_1%2F%26"),
        ("http://127.0.0.1:8000/v1", "ws://127.0.0.1:8000/v1/realtime?call_id=rtc_1%2F%26"),
    ],
)
def test_the_websocket_url_is_derived_from_api_base(base: str, url: str) -> None:
    assert sideband_url(base, "rtc_1/&") == url


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="api_base must begin with"):
        sideband_url("ftp://x", "rtc_1")


# Virtual time


async def opened(*answers: Wire | Exception) -> tuple[Sideband, Dialer]:
    dialer = Dialer(*answers)
    sideband = Sideband("ws://x", HEADERS, dialer)
    await sideband.open()
    return sideband, dialer


async def everything(sideband: Sideband) -> list[Mapping[str, Any]]:
    return [message async for message in sideband.messages()]


async def test_the_first_attach_is_retried_on_404() -> None:
    _, dialer = await opened(CallOver(), CallOver(), Wire())
    assert dialer.at == [0.0, 0.25, 0.75]


async def test_the_first_attach_is_given_up_after_six_tries() -> None:
    dialer = Dialer(CallOver())
    with pytest.raises(ProviderError, match=r"knows no such call .* is the model there") as error:
        await Sideband("ws://x", HEADERS, dialer).open()
    assert error.value.status == 404
    assert dialer.at == [0.0, 0.25, 0.75, 1.75, 2.75, 3.75]


async def test_the_first_attach_is_limited_to_five_seconds() -> None:
    dialer = Dialer(Wire(), takes_s=60)
    with pytest.raises(ProviderError, match="not done within 5 s"):
        await Sideband("ws://x", HEADERS, dialer).open()


async def test_messages_are_passed_on_and_malformed_ones_skipped() -> None:
    wire = Wire()
    sideband, _ = await opened(wire, CallOver())
    for message in ({"type": "a"}, "not json", "[1]", "[" * 200_000, {"type": "b"}):
        wire.delivers(message)
    wire.drops()
    assert await everything(sideband) == [{"type": "a"}, {"type": "b"}]


async def test_a_dropped_websocket_is_reattached_with_a_marker() -> None:
    first, second = Wire(), Wire()
    sideband, dialer = await opened(first, ProviderError("down"), second, CallOver())
    first.delivers({"type": "a"})
    first.drops()
    second.delivers({"type": "b"})
    second.drops()
    dialer.answers = [ProviderError("down"), second, CallOver()]
    assert await everything(sideband) == [{"type": "a"}, REATTACHED, {"type": "b"}]
    assert dialer.at == [0.0, 0.0, 0.25, 0.25]


async def test_a_404_after_a_drop_ends_the_session() -> None:
    wire = Wire()
    sideband, dialer = await opened(wire, CallOver())
    wire.drops()
    assert await everything(sideband) == []
    assert len(dialer.at) == 2
    with pytest.raises(ProviderError, match="session is over"):
        await sideband.send({"type": "x"})


async def test_reattaching_is_given_up_within_two_seconds() -> None:
    wire = Wire()
    sideband, dialer = await opened(wire, ProviderError("down"))
    wire.drops()
    assert await everything(sideband) == []
    assert dialer.at == [0.0, 0.0, 0.25, 0.75, 1.75]


async def test_reattaching_to_a_server_that_drops_every_socket_is_delayed() -> None:
    wires = [Wire() for _ in range(8)]
    for wire in wires:
        wire.drops()
    sideband, dialer = await opened(*wires, CallOver())
    assert await everything(sideband) == [REATTACHED] * 7
    assert dialer.at == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


async def test_a_lone_surrogate_is_sent_unchanged() -> None:
    wire = Wire()
    sideband, _ = await opened(wire)
    await sideband.send({"error": "\ud800 é"})
    assert wire.sent == [{"error": "\ud800 é"}]


async def test_messages_sent_during_a_gap_are_sent_after_it() -> None:
    first, second = Wire(), Wire()
    sideband, dialer = await opened(first, second)
    dialer.answers = [ProviderError("down"), second]
    first.drops()
    reading = asyncio.create_task(everything(sideband))
    await sideband.send({"type": "one"})
    await sideband.send({"type": "two"})
    assert second.sent == [{"type": "one"}, {"type": "two"}]
    await sideband.close()
    second.drops()
    assert await reading == [REATTACHED]
    assert second.closed


async def test_sending_after_the_end_of_the_session_is_an_error() -> None:
    wire = Wire()
    sideband, _ = await opened(wire, CallOver())
    wire.drops()
    sending = asyncio.create_task(sideband.send({"type": "one"}))
    await everything(sideband)
    with pytest.raises(ProviderError, match="session is over"):
        await sending


async def test_closing_twice_does_nothing() -> None:
    wire = Wire()
    sideband, _ = await opened(wire)
    await sideband.close()
    await sideband.close()
    assert await everything(sideband) == []


# Real sockets


async def serving(handler: Any, refuse: int | None = None) -> tuple[Server, list[Request]]:
    seen: list[Request] = []

    def check(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request)
        return connection.respond(http.HTTPStatus(refuse), "no") if refuse else None

    return await serve(handler, "127.0.0.1", 0, process_request=check), seen


def address(server: Server) -> str:
    return f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1"


@pytest.mark.network
async def test_a_real_websocket_carries_json_and_sends_only_the_authorization_header(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    server, seen = await serving(echo)
    async with server:
        sideband = Sideband(sideband_url(address(server), "rtc_1"), HEADERS)
        await sideband.open()
        await sideband.send({"type": "response.create", "text": "Grüß Gott"})
        assert await anext(sideband.messages()) == {"type": "response.create", "text": "Grüß Gott"}
        await sideband.close()
    (request,) = seen
    assert request.path == "/v1/realtime?call_id=rtc_1"
    assert request.headers["Authorization"] == "Bearer sk-secret"
    assert "OpenAI-Beta" not in request.headers
    assert "User-Agent" not in request.headers
    ours = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert not any("sk-secret" in line for line in ours)


@pytest.mark.network
async def test_a_real_dropped_websocket_is_reattached() -> None:
    connections = 0

    async def drop_once(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            connection.transport.abort()
        else:
            await connection.send('{"type": "back"}')
            await connection.wait_closed()

    server, _ = await serving(drop_once)
    async with server:
        sideband = Sideband(sideband_url(address(server), "rtc_1"), HEADERS)
        await sideband.open()
        messages = sideband.messages()
        assert await anext(messages) is REATTACHED
        assert await anext(messages) == {"type": "back"}
        await sideband.close()


@pytest.mark.network
async def test_a_real_404_says_that_the_call_is_over() -> None:
    server, _ = await serving(None, refuse=404)
    async with server:
        with pytest.raises(CallOver):
            await dial(sideband_url(address(server), "rtc_1"), HEADERS)


@pytest.mark.network
async def test_a_real_401_is_an_error() -> None:
    server, _ = await serving(None, refuse=401)
    async with server:
        with pytest.raises(ProviderError, match="attach: OpenAI answered 401"):
            await dial(sideband_url(address(server), "rtc_1"), HEADERS)


@pytest.mark.network
async def test_an_unreachable_server_is_an_error() -> None:
    server, _ = await serving(None)
    url = sideband_url(address(server), "rtc_1")
    server.close()
    await server.wait_closed()
    with pytest.raises(ProviderError, match="attach: OpenAI not reached"):
        await dial(url, HEADERS)


@pytest.mark.network
@pytest.mark.parametrize("location", ["http://127.0.0.1:1/", "gopher://x"])
async def test_a_redirect_to_a_non_websocket_url_is_an_error(location: str) -> None:
    def elsewhere(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(http.HTTPStatus.FOUND, "")
        answer.headers["Location"] = location
        return answer

    async with serve(
        lambda connection: connection.close(), "127.0.0.1", 0, process_request=elsewhere
    ) as server:
        with pytest.raises(ProviderError, match="not reached"):
            await dial(sideband_url(address(server), "rtc_1"), HEADERS)


@pytest.mark.network
def test_a_real_websocket_works_on_uvloop() -> None:
    async def attaches() -> None:
        async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0) as server:
            url = sideband_url(address(server), "rtc_1")
            connection = await dial(url, HEADERS)
            await connection.close()
        with pytest.raises(ProviderError, match="not reached"):
            await dial(url, HEADERS)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(attaches())
