"""Resolves host names chosen by strangers, in threads of their own.

`getaddrinfo` cannot be cancelled: a name server that never answers blocks its thread for long. In the shared
thread pool, a few such names would keep us from resolving the vendor's host, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

MAX_THREADS = 8
"""Maximum threads; a look-up beyond that is refused."""


class HostLookup:
    """Resolves with the system's resolver."""

    def __init__(self, getaddrinfo: Callable[..., Sequence[Any]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self.running = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host; raises OSError, also for too many look-ups at once."""
        if self.running >= MAX_THREADS:
            raise OSError("too many hosts are looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()

        def tell(addresses: Sequence[str], error: Exception | None) -> None:
            self.running -= 1
            if found.done():
                return  # nobody is waiting any more
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        def work() -> None:
            addresses: Sequence[str] = ()
            problem: Exception | None = None
            try:
                rows = self._getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(address[0]) for *_, address in rows))
            except Exception as error:
                problem = error if isinstance(error, OSError) else OSError(str(error))
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(tell, addresses, problem)

        self.running += 1
        Thread(target=work, name="certificate host", daemon=True).start()
        return await found
