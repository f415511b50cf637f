"""A scripted web server that records its requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Sent:
    """One received request."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A complete HTTP response."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Receiver:
    """Gives its answers in turn, repeating the last: bytes are written, callables run."""

    def __init__(self, *answers: bytes | Play) -> None:
        self.answers = list(answers)
        self.sent: list[Sent] = []
        self.got = asyncio.Event()
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while sent := await _request(reader):
                self.sent.append(sent)
                self.got.set()
                said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(said, bytes):
                    writer.write(said)
                    await writer.drain()
                else:
                    await said(reader, writer)
        writer.close()


async def _request(reader: asyncio.StreamReader) -> Sent | None:
    line = (await reader.readline()).decode().strip()
    if not line:
        return None
    sent = Sent(line)
    while text := (await reader.readline()).decode().strip():
        name, _, value = text.partition(":")
        sent.headers[name.lower()] = value.strip()
    sent.body = await reader.readexactly(int(sent.headers.get("content-length", "0")))
    return sent
