"""Connections that are there whether anybody calls or not: made at the start, and again when they break."""

from __future__ import annotations

import asyncio

import structlog

from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, Network, TransportFailed
from proxy.transport.keepalive import Draw

log = structlog.get_logger("screendoor")

PAUSE_S = (1.0, 60.0)
"""Before the first new attempt; doubled with each that fails, up to the second."""
STEADY_S = 60.0
"""A connection that stood for so long was a good one: the pauses begin anew."""


class Standing:
    """Keeps a connection to one place; `keep` runs for as long as it is wanted."""

    def __init__(self, network: Network, uri: Uri, profile: str, draw: Draw) -> None:
        """`profile`: on whose terms TLS is spoken. `draw` spreads the attempts of many like us."""
        self._network, self._uri, self._profile, self._draw = network, uri, profile, draw
        self._flow: Flow | None = None

    def needs(self, flow: Flow) -> bool:
        """Whether this is the connection that is kept."""
        return flow is self._flow

    async def keep(self) -> None:
        """Connect, again and again; never returns, save where a datagram is all that is needed."""
        loop, (pause_s, longest_s) = asyncio.get_running_loop(), PAUSE_S
        told = False
        while True:
            try:
                self._flow = await self._reach()
            except TransportFailed as error:
                if not told:
                    log.warning("not connected", to=self._uri.host, why=str(error))
                told = True
            else:
                if not self._flow.reliable:
                    return
                log.info("connected", to=self._uri.host, transport=self._flow.transport)
                told, since = False, loop.time()
                await self._broken(self._flow)
                log.warning("connection lost, to be made again", to=self._uri.host)
                if loop.time() - since >= STEADY_S:
                    pause_s = PAUSE_S[0]
            await asyncio.sleep(pause_s * self._draw(500, 1000) / 1000)
            pause_s = min(pause_s * 2, longest_s)

    async def _reach(self) -> Flow:
        error = TransportFailed(f"{self._uri.host}: no address")
        for target in await self._network.resolve(self._uri, self._profile):
            try:
                return await self._network.connect(target)
            except TransportFailed as failure:
                error = failure
        raise error

    async def _broken(self, flow: Flow) -> None:
        """Return when the connection does not stand any more."""
        broken = asyncio.Event()
        flow.when_closed(broken.set)
        await broken.wait()
