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


async def test_the_server_serves_on_its_port_and_leaves_no_task_after_stopping(app: Starlette) -> None:
    before = asyncio.all_tasks()
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/healthz")
        assert answer.status_code == 200
        assert "server" not in answer.headers
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_invalid_http_requests_are_logged_only_once(
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


async def test_forwarding_headers_are_ignored() -> None:
    """Token guesses are counted by client address, so forwarding headers are ignored."""

    async def whence(request: Request) -> Response:
        assert request.client is not None
        return Response(f"{request.url.scheme} {request.client.host}")

    app = Starlette(routes=[Route("/", whence)])
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        answer = await client.get(f"http://127.0.0.1:{server.port}/", headers=forged)
    assert answer.text == "http 127.0.0.1"


async def test_the_server_can_stop_before_any_request(app: Starlette) -> None:
    before = asyncio.all_tasks()
    async with HttpServer(app, "127.0.0.1", 0):
        pass
    assert asyncio.all_tasks() == before


async def test_the_server_does_not_replace_signal_handlers(app: Starlette) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with HttpServer(app, "127.0.0.1", 0) as server, httpx2.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/healthz")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_port_in_use_is_an_oserror_naming_the_port(app: Starlette) -> None:
    async with HttpServer(app, "127.0.0.1", 0) as server:
        said = f"^cannot listen on http 127.0.0.1 port {server.port}: Address already in use$"
        with pytest.raises(OSError, match=said):
            async with HttpServer(app, "127.0.0.1", server.port):
                pass


async def test_the_server_serves_https_with_its_own_certificate(app: Starlette, tmp_path: Path) -> None:
    write_certificates(tmp_path, ["127.0.0.1"])
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with (
        HttpServer(app, "127.0.0.1", 0, certificate=chain, key=key) as server,
        httpx2.AsyncClient(verify=trust) as client,
    ):
        assert (await client.get(f"https://127.0.0.1:{server.port}/healthz")).status_code == 200


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_renewed_certificate_is_used_without_a_restart_but_not_an_incomplete_one(
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


async def test_a_certificate_that_does_not_load_raises_at_startup(app: Starlette, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    server = HttpServer(app, "127.0.0.1", 0, certificate=tmp_path / "bad.pem", key=tmp_path / "bad.pem")
    with pytest.raises(ssl.SSLError):
        await server.__aenter__()


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHo", GOOD, GOOD + b"GET /hea"])
async def test_an_incomplete_request_is_closed_after_the_time_limit(
    app: Starlette, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.web.server.HEAD_LIMIT_S", 0.2)
    async with HttpServer(app, "127.0.0.1", 0) as server, asyncio.timeout(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        answers = (await reader.read()).count(b"200 OK")
        assert answers == begun.count(GOOD)
        writer.close()


async def test_over_the_connection_limit_the_oldest_idle_connections_are_closed(
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
