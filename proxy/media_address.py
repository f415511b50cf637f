"""The local media address: checked before the first call, and watched for changes while it is "auto"."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from proxy.config import Settings, local_address, route_probe
from proxy.transport.flow import TransportFailed

log = structlog.get_logger("screendoor")

CHECK_INTERVAL_S = 15.0
"""Seconds between two checks: a dial-up line may get a new address every night."""


async def follow(
    settings: Settings, moved: Callable[[str], None], find: Callable[[str], str | None] = local_address
) -> None:
    """Call `moved` with the new address each time the one that "auto" stands for changes.

    Returns at once if the address is configured. Having no route out is not a change.
    """
    known = settings.public.address
    while settings.public.found:
        await asyncio.sleep(CHECK_INTERVAL_S)
        found = find(route_probe(settings))
        if found is not None and found != known:
            log.warning("public address changed: new calls use the new one", was=known, now=found)
            known = found
            moved(known)


def check(local: str) -> None:
    """Raise TransportFailed if this machine does not have the address: no call could get a port on it."""
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
