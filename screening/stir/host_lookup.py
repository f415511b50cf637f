"""Looks up hosts that strangers name, in threads of its own.

The system's look-up cannot be broken off: a name server that never answers holds its thread for long.
In the threads that all look-ups share, a few such names would keep us from finding the vendor, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

AT_ONCE = 8
"""Threads at a time; who would need one more is not looked up."""


class StrangeHosts:
    """Finds addresses as this machine does."""

    def __init__(self, look: Callable[..., Sequence[Any]] = socket.getaddrinfo) -> None:
        self._look = look
        self.going = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host; raises OSError, also where too many are looked up."""
        if self.going >= AT_ONCE:
            raise OSError("too many hosts are looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()

        def tell(addresses: Sequence[str], error: Exception | None) -> None:
            self.going -= 1
            if found.done():
                return  # nobody waits any more
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        def work() -> None:
            addresses: Sequence[str] = ()
            problem: Exception | None = None
            try:
                rows = self._look(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(address[0]) for *_, address in rows))
            except Exception as error:
                problem = error if isinstance(error, OSError) else OSError(str(error))
            with suppress(RuntimeError):  # we have ended meanwhile
                loop.call_soon_threadsafe(tell, addresses, problem)

        self.going += 1
        Thread(target=work, name="certificate host", daemon=True).start()
        return await found
