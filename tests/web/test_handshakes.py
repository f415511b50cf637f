"""TLS handshakes: silent clients, time limits, non-TLS bytes, and file descriptor exhaustion."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from uvloop import Loop

from proxy.transport.devcert import write_certificates
from proxy.web import HttpServer, build_app
from proxy.web.handshakes import Handshakes

pytestmark = pytest.mark.network


@pytest.fixture
def app() -> Starlette:
    return build_app(None, lambda: {"status": "ok", "calls": 0}, CollectorRegistry())


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    write_certificates(tmp_path, ["127.0.0.1"])
    return tmp_path


def _server(app: Starlette, certificates: Path) -> HttpServer:
    return HttpServer(
        app, "127.0.0.1", 0, certificate=certificates / "fullchain.pem", key=certificates / "privkey.pem"
    )


def _client(certificates: Path) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=ssl.create_default_context(cafile=str(certificates / "ca.pem")))


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, Loop])
def test_clients_that_send_no_handshake_hold_a_limited_number_of_descriptors(
    app: Starlette,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    monkeypatch.setattr("proxy.web.handshakes.MAX_HANDSHAKES", 20)
    monkeypatch.setattr("proxy.web.handshakes.MAX_ACCEPTS", 10)

    async def story() -> None:
        before = asyncio.all_tasks()
        async with _server(app, certificates) as server, _client(certificates) as client:
            files = len(os.listdir("/proc/self/fd"))
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
            for gone, _ in silent[:40]:
                with suppress(ConnectionResetError):
                    assert await gone.read() == b""
            assert len(os.listdir("/proc/self/fd")) <= files + 60 + 20 + 5  # a loop opens some of its own
            assert (await client.get(f"https://127.0.0.1:{server.port}/healthz")).status_code == 200
            for _, each in silent:
                each.close()
        assert asyncio.all_tasks() == before

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(story(), 20))


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
async def test_a_stalled_handshake_is_closed_after_the_time_limit(
    app: Starlette, certificates: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("proxy.web.handshakes.HANDSHAKE_LIMIT_S", 0.2)
    async with _server(app, certificates) as server, asyncio.timeout(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_does_not_speak_tls_is_disconnected(app: Starlette, certificates: Path) -> None:
    async with _server(app, certificates) as server, asyncio.timeout(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_handshake_in_progress_does_not_delay_the_shutdown(
    app: Starlette, certificates: Path
) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(6):
        async with _server(app, certificates) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.sleep(0)
        assert await reader.read() == b""
    assert asyncio.all_tasks() == before
    writer.close()


class _NoFiles(socket.socket):
    """A listening socket of a process that has run out of file descriptors."""

    def accept(self) -> tuple[socket.socket, object]:
        raise OSError(errno.EMFILE, "too many open files")


async def test_accepting_pauses_and_retries_when_no_descriptor_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.web.handshakes.RETRY_ACCEPT_S", 0.01)
    with _NoFiles() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        handshakes = Handshakes(listening, ssl.create_default_context, asyncio.Protocol)
        _, writer = await asyncio.open_connection(*listening.getsockname())
        rests = set[asyncio.TimerHandle]()
        async with asyncio.timeout(6):
            while len(rests) < 2:
                await asyncio.sleep(0)
                if handshakes._again is not None:
                    rests.add(handshakes._again)
        handshakes.close()
        await handshakes.wait_closed()
        writer.close()
