"""A TCP connection in memory, as an asyncio transport."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.transport.stream import StreamFlow

PEER = ("192.0.2.9", 4000)


class Wire(asyncio.Transport):
    """The transport of a TCP connection; `reading`: whether the peer reads what is written."""

    def __init__(
        self, protocol: asyncio.Protocol, *, reading: bool = True, peer: tuple[str, int] | None = PEER
    ) -> None:
        super().__init__({"sockname": ("192.0.2.1", 5060), "peername": peer})
        self.protocol = protocol
        self.reading = reading
        self.written = bytearray()
        self.waiting = 0
        self.closing = False
        self.gone = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += data
        if not self.reading:
            self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.waiting:
            self.abort()

    def abort(self) -> None:
        self.closing = True
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)


class CountingTracker:
    """A `Keeper` that counts its calls; opened and gone must balance."""

    def __init__(self) -> None:
        self.open = self.stood = self.welcome = 0
        self.failures: list[tuple[str, str]] = []

    def opened(self, flow: StreamFlow) -> None:
        self.open += 1

    def established(self, flow: StreamFlow) -> None:
        self.stood += 1

    def known(self, flow: StreamFlow) -> None:
        self.welcome += 1

    def failed(self, flow: StreamFlow, reason: str, why: str) -> None:
        self.failures.append((reason, why))

    def gone(self, flow: StreamFlow) -> None:
        self.open -= 1
