"""The address where audio is received: tried before there is a call, and followed where it was found."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from proxy.config import Settings, elsewhere, local_address
from proxy.transport.flow import TransportFailed

log = structlog.get_logger("screendoor")

LOOK_S = 15.0
"""How often it is looked whether it is still ours: a line that is dialled may have another every night."""


async def follow(
    settings: Settings, moved: Callable[[str], None], find: Callable[[str], str | None] = local_address
) -> None:
    """Have `moved` called with the address that "auto" stands for by now, each time that it is another.

    Returns at once where an address is written; nobody moves to where there is no way out.
    """
    known = settings.public.address
    while settings.public.found:
        await asyncio.sleep(LOOK_S)
        found = find(elsewhere(settings))
        if found is not None and found != known:
            log.warning("this machine has another address, of which new calls are told", was=known, now=found)
            known = found
            moved(known)


def check(local: str) -> None:
    """Raise TransportFailed for one that this machine does not have: there would be no port for any call."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((local, 0))
        except OSError as error:
            why = error.strerror or str(error)
            raise TransportFailed(
                f"cannot receive audio on {local}: {why}: [media] bind is an address of this machine, "
                "or 0.0.0.0; what peers are told is [public] address"
            ) from error
