"""TLS below HTTP: whoever connects is counted from the first moment, and has a few seconds to shake hands.

Both event loops would wait a minute for every handshake, and for as many at a time as there are files.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

HANDSHAKE_LIMIT_S = 10.0
"""How long a client may take to shake hands."""
MAX_HANDSHAKES = 200
"""At a time; one too many costs the oldest of them its place."""
AT_ONCE = 100
"""Connections that are taken in one go; fewer than the above, so that whoever loses his place had begun."""
NO_FILES_S = 1.0
"""How long none is taken after one could not be: no file is left, then."""


class Handshakes:
    """Takes what connects to a listening socket; a server as uvicorn knows one."""

    def __init__(
        self,
        listening: socket.socket,
        context: Callable[[], ssl.SSLContext],
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`context` makes a connection safe; `protocol` makes whoever speaks with a client that has shaken
        hands.
        """
        self._listening, self._context, self._protocol = listening, context, protocol
        self._loop = asyncio.get_running_loop()
        self._going: dict[asyncio.Task[None], None] = {}
        """The oldest stands first."""
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Take no more, and give up what is not over."""
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
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(NO_FILES_S, self._listen)
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
        with suppress(OSError):  # what is no TLS, or too slow, or has hung up
            await self._loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._context(), ssl_handshake_timeout=HANDSHAKE_LIMIT_S
            )
