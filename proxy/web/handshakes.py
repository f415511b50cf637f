"""TLS handshakes for HTTPS, limited in number and time from the moment a client connects.

Both event loops would allow a minute for each, and as many at a time as there are file descriptors.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

HANDSHAKE_LIMIT_S = 10.0
"""Time limit for one handshake."""
MAX_HANDSHAKES = 200
"""The most at a time; one more cancels the oldest."""
MAX_ACCEPTS = 100
"""The most connections accepted in one go; below `MAX_HANDSHAKES`, so that a cancelled handshake had time to
run."""
RETRY_ACCEPT_S = 1.0
"""Pause after accept() fails, which means that file descriptors have run out."""


class Handshakes:
    """Accepts connections from a listening socket, with as much of `asyncio.Server` as uvicorn needs."""

    def __init__(
        self,
        listening: socket.socket,
        context: Callable[[], ssl.SSLContext],
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`context` gives the TLS context of a new connection, `protocol` makes its protocol object."""
        self._listening, self._context, self._protocol = listening, context, protocol
        self._loop = asyncio.get_running_loop()
        self._going: dict[asyncio.Task[None], None] = {}
        """The oldest comes first."""
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Stop accepting, and cancel pending handshakes."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listening)
        for task in self._going:
            task.cancel()

    async def wait_closed(self) -> None:
        if self._going:
            await asyncio.wait(self._going)

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTS):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(RETRY_ACCEPT_S, self._listen)
                return
            connection.setblocking(False)
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        if len(self._going) >= MAX_HANDSHAKES:
            oldest = next(iter(self._going))
            del self._going[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._shake(connection), name="https handshake")
        self._going[task] = None
        task.add_done_callback(lambda task: self._going.pop(task, None))

    async def _shake(self, connection: socket.socket) -> None:
        with suppress(OSError):  # not TLS, too slow, or disconnected
            await self._loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._context(), ssl_handshake_timeout=HANDSHAKE_LIMIT_S
            )
