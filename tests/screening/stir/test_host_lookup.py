"""Looking up hosts named by strangers does not block other look-ups."""

from __future__ import annotations

import asyncio
import socket
from threading import Event
from typing import Any

import pytest

from screening.stir.certificates import MAX_FETCHES, CertificateCache
from screening.stir.host_lookup import MAX_THREADS, HostLookup
from screening.stir.passport import PassportRefused
from tests.screening.pki import NOW

pytestmark = pytest.mark.network

ROW = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.114.7", 443))


class NameServer:
    """Answers when released, or never."""

    def __init__(self) -> None:
        self.answers = Event()

    def __call__(self, host: str, port: int, **how: Any) -> list[Any]:
        self.answers.wait(20)
        if host != "cert.example.org":
            raise socket.gaierror(-2, "Name or service not known")
        return [ROW, ROW]


async def test_a_host_is_resolved_or_an_error() -> None:
    server = NameServer()
    server.answers.set()
    hosts = HostLookup(server)
    assert await hosts("cert.example.org", 443) == ["203.0.114.7"]
    with pytest.raises(OSError, match="not known"):
        await hosts("none.example.org", 443)
    assert hosts.running == 0


async def test_a_silent_name_server_blocks_only_the_lookup_threads() -> None:
    server = NameServer()
    hosts = HostLookup(server)
    async with CertificateCache([], lambda: NOW, resolve=hosts) as certificates:
        tasks = [certificates.fetch(f"https://c{n}.example.org/a.pem") for n in range(MAX_FETCHES)]
        await asyncio.wait(tasks[MAX_THREADS:], timeout=5)
        assert hosts.running == MAX_THREADS
        with pytest.raises(PassportRefused, match="not reached"):
            certificates.cached(f"https://c{MAX_THREADS}.example.org/a.pem")
        async with asyncio.timeout(5):  # the shared thread pool is free
            assert await asyncio.to_thread(lambda: "free") == "free"
            await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        server.answers.set()
        await asyncio.wait(tasks[:MAX_THREADS], timeout=5)
        assert hosts.running == 0
