"""The HTTP server: start, stop, malformed requests and forged proxy headers."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
import uvloop
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.transport.devcert import write_certificates
from proxy.web import HttpServer, build_app

pytestmark = pytest.mark.network

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def app() -> Starlette:
    return build_app(None, lambda: {"status": "ok", "calls": 0}, CollectorRegistry())


async def test_it_serves_on_the_port_it_took_and_leaves_no_task_behind(app: Starlette) -> None:
    before = asyncio.all_tasks()
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/healthz")
        assert answer.status_code == 200
        assert "server" not in answer.headers
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_strangers_who_send_no_http_fill_no_log(
    app: Starlette, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("proxy.web.server._WARNING_LIMIT._said", {})
    async with HttpServer(app, "127.0.0.1", 0) as server:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x16\x03\x01\r\n\r\n")
            assert b"400" in await reader.readline()
            writer.close()
    assert [record.message for record in caplog.records] == ["Invalid HTTP request received."]


async def test_nobody_says_by_a_header_that_he_is_somebody_else() -> None:
    """Token guesses are counted by client address, so forwarding headers are ignored."""

    async def whence(request: Request) -> Response:
        assert request.client is not None
        return Response(f"{request.url.scheme} {request.client.host}")

    app = Starlette(routes=[Route("/", whence)])
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        answer = await client.get(f"http://127.0.0.1:{server.port}/", headers=forged)
    assert answer.text == "http 127.0.0.1"


async def test_it_may_stop_before_it_was_asked_anything(app: Starlette) -> None:
    before = asyncio.all_tasks()
    async with HttpServer(app, "127.0.0.1", 0):
        pass
    assert asyncio.all_tasks() == before


async def test_signals_stay_with_the_host(app: Starlette) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/healthz")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_port_that_is_taken_is_an_oserror_that_names_it(app: Starlette) -> None:
    async with HttpServer(app, "127.0.0.1", 0) as server:
        said = f"^cannot listen on http 127.0.0.1 port {server.port}: Address already in use$"
        with pytest.raises(OSError, match=said):
            async with HttpServer(app, "127.0.0.1", server.port):
                pass


async def test_it_serves_https_with_a_certificate_of_its_own(app: Starlette, tmp_path: Path) -> None:
    write_certificates(tmp_path, ["127.0.0.1"])
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with (
        HttpServer(app, "127.0.0.1", 0, certificate=chain, key=key) as server,
        httpx2.AsyncClient(verify=trust) as client,
    ):
        assert (await client.get(f"https://127.0.0.1:{server.port}/healthz")).status_code == 200


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_renewed_certificate_is_shown_without_a_restart_and_half_of_one_is_not(
    app: Starlette, tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    write_certificates(tmp_path, ["127.0.0.1"])

    async def shown(port: int) -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))

    async def renewing() -> None:
        async with HttpServer(app, "127.0.0.1", 0, certificate=chain, key=key) as server:
            first = await shown(server.port)
            assert chain.read_text().startswith(first)
            chain.unlink()
            assert await shown(server.port) == first
            write_certificates(tmp_path, ["127.0.0.1"])
            renewed, private = chain.read_text(), key.read_text()
            key.write_text("half of it")
            os.utime(key, (1, 1))
            assert await shown(server.port) == first
            key.write_text(private)
            assert await shown(server.port) != first
            assert renewed.startswith(await shown(server.port))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(renewing())


async def test_a_certificate_that_does_not_load_is_raised_at_once(app: Starlette, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    server = HttpServer(app, "127.0.0.1", 0, certificate=tmp_path / "bad.pem", key=tmp_path / "bad.pem")
    with pytest.raises(ssl.SSLError):
        await server.__aenter__()


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHo", GOOD, GOOD + b"GET /hea"])
async def test_a_request_that_does_not_come_whole_is_not_waited_for(
    app: Starlette, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.web.server.HEAD_LIMIT_S", 0.2)
    async with HttpServer(app, "127.0.0.1", 0) as server, asyncio.timeout(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        answers = (await reader.read()).count(b"200 OK")
        assert answers == begun.count(GOOD)
        writer.close()


async def test_of_too_many_who_ask_for_nothing_the_first_is_hung_up_on(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Request] = []

    async def slow(request: Request) -> Response:
        begun.append(request)
        return Response(await request.body())

    app.router.routes.append(Route("/slow", slow, methods=["POST"]))
    monkeypatch.setattr("proxy.web.server.MAX_CONNECTIONS", 50)
    async with HttpServer(app, "127.0.0.1", 0) as server, asyncio.timeout(10):
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(80)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GOOD)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for gone, _ in idle[:30]:
            with suppress(ConnectionResetError):
                assert await gone.read() == b""
        for _, each in idle[30:]:
            each.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        while len(begun) < 49:
            await asyncio.sleep(0)
        writer.close()
        another, asks = await asyncio.open_connection("127.0.0.1", server.port)
        asks.write(GOOD)
        assert (await another.readline()).startswith(b"HTTP/1.1 200")
        for _, each in [*idle, (reader, writer), (another, asks)]:
            each.close()
