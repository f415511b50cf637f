"""Persistent outbound connections: made at the start, and again when they break."""

from __future__ import annotations

import asyncio

import structlog

from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, Network, TransportFailed
from proxy.transport.keepalive import Draw

log = structlog.get_logger("screendoor")

PAUSE_S = (1.0, 60.0)
"""Pause before the first new attempt, doubled with each failure, and its maximum."""
STEADY_S = 60.0
"""A connection that lasted this long resets the pause."""


class PersistentConnection:
    """Keeps a connection to one peer open while `keep` runs."""

    def __init__(self, network: Network, uri: Uri, profile: str, draw: Draw) -> None:
        """`profile`: the TLS profile. `draw` adds jitter, which spreads the attempts of many clients."""
        self._network, self._uri, self._profile, self._draw = network, uri, profile, draw
        self._flow: Flow | None = None

    def needs(self, flow: Flow) -> bool:
        """Whether this is the current connection."""
        return flow is self._flow

    async def keep(self) -> None:
        """Connect, and reconnect whenever the connection is lost; returns only if the target is UDP."""
        loop, (pause_s, longest_s) = asyncio.get_running_loop(), PAUSE_S
        failure_logged = False
        while True:
            try:
                self._flow = await self._connect()
            except TransportFailed as error:
                if not failure_logged:
                    log.warning("not connected", to=self._uri.host, why=str(error))
                failure_logged = True
            else:
                if not self._flow.reliable:
                    return
                log.info("connected", to=self._uri.host, transport=self._flow.transport)
                failure_logged, since = False, loop.time()
                await self._until_closed(self._flow)
                log.warning("connection lost: connecting again", to=self._uri.host)
                if loop.time() - since >= STEADY_S:
                    pause_s = PAUSE_S[0]
            await asyncio.sleep(pause_s * self._draw(500, 1000) / 1000)
            pause_s = min(pause_s * 2, longest_s)

    async def _connect(self) -> Flow:
        error = TransportFailed(f"{self._uri.host}: no address")
        for target in await self._network.resolve(self._uri, self._profile):
            try:
                return await self._network.connect(target)
            except TransportFailed as failure:
                error = failure
        raise error

    async def _until_closed(self, flow: Flow) -> None:
        """Wait until the connection is closed."""
        broken = asyncio.Event()
        flow.when_closed(broken.set)
        await broken.wait()
