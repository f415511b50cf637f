"""The API of an edge, served over real HTTP on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry

from proxy.config import Settings, parse
from proxy.observe.capture import Capture
from proxy.services import api_backend
from proxy.web import HttpServer, build_app
from screening.memory.store import Memory
from tests.kit.edge import Edge, an_edge

WRITES, READS = "w" * 32, "r" * 32
TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
screening = { voicemail_dir = "FOLDER/voicemail" }
[api]
tokens = ["env:WRITES", { name = "reader", token = "env:READS", may = "read" }]
[[number]]
dialed = "+14155551234"
destinations = ["tel:+14155559876"]
"""


@dataclass
class Served:
    """A running edge with its API, and a client whose token has write access."""

    edge: Edge
    client: httpx2.AsyncClient
    port: int
    refused: Mapping[str, int]

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        return await self.client.get(f"/api/v1{path}", **more)

    async def post(self, path: str, **more: Any) -> httpx2.Response:
        return await self.client.post(f"/api/v1{path}", **more)


def settings(folder: Path, text: str = TEXT) -> Settings:
    environ = {"WRITES": WRITES, "READS": READS}
    return parse(text.replace("FOLDER", str(folder)), environ, file="sd.toml", folder=folder)


@asynccontextmanager
async def serving(
    tmp: Path, memory: Memory | None = None, capture: Capture | None = None
) -> AsyncIterator[Served]:
    """Serve the API of a new edge, on a real event loop and in real time."""
    async with an_edge(tmp) as edge:
        if capture is not None:
            edge.core.traces.append(capture)
        app, refused = api_backend.api(settings(tmp), edge.registry, edge.feed, edge.ids, memory, capture)
        web = build_app(None, lambda: {"status": "ok"}, CollectorRegistry(), api=app)
        async with HttpServer(web, "127.0.0.1", 0) as server, a_client(server.port) as client:
            try:
                yield Served(edge, client, server.port, refused)
            finally:
                edge.feed.close()


def a_client(port: int, token: str = WRITES) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=10.0
    )


@dataclass(frozen=True)
class ServerSentEvent:
    """One server-sent event."""

    id: str | None
    name: str
    data: dict[str, Any]


async def server_sent_events(answer: httpx2.Response) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a stream as they arrive."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            if "event" in fields:
                yield ServerSentEvent(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
