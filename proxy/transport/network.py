"""SocketNetwork: listeners, connections and the dialling of new ones, over real sockets (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import dns.entropy

from proxy.sip.uri import Uri
from proxy.transport.connections import ConnectionLimits, Connections
from proxy.transport.dialer import Dialer
from proxy.transport.flow import Address, Flow, ListenOn, Receiver, Target, TransportFailed
from proxy.transport.keepalive import Draw, KeepAlive, KeepAliveRules
from proxy.transport.resolver import ALL, Resolver
from proxy.transport.stream import StreamFlow, StreamLimits
from proxy.transport.tls import ClientTls, ServerContext, TlsProfiles
from proxy.transport.tls_engine import TlsEngine
from proxy.transport.udp import UdpListener, pick_listener

BACKLOG = 512
STREAMS = ("tcp", "tls")
"""Transports that are always available for sending; UDP needs a listener."""
LAST_WRITES_S = 1.0
"""How long `close()` waits for connections to flush their write buffers."""


class SocketNetwork:
    """A `Network` over real sockets, for any asyncio loop."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        client_tls: ClientTls | None = None,
        connect_timeout_s: float = 4.0,
        limits: StreamLimits | None = None,
        *,
        profiles: TlsProfiles | None = None,
        strangers: ConnectionLimits | None = None,
        keep_alive: KeepAliveRules | None = None,
        draw: Draw = dns.entropy.between,
    ) -> None:
        """`connect_timeout_s` covers the TCP connection and the TLS handshake together.

        `profiles`: the TLS profiles that targets may name; `client_tls`: shorthand for a single default one.
        """
        self._resolver = resolver or Resolver()
        self._dialer = Dialer(
            lambda engine: self._flow(inbound=False, engine=engine),
            self._keep,
            profiles or TlsProfiles(client_tls, {}),
            connect_timeout_s,
        )
        self._keep_alive, self._draw = keep_alive or KeepAliveRules(), draw
        self._limits = limits or StreamLimits()
        self._receiver: Receiver | None = None
        self._udp: list[UdpListener] = []
        self._servers: list[asyncio.Server] = []
        self.connections = Connections(
            strangers or ConnectionLimits(), lambda flow: self._who().welcomes(flow)
        )
        self._closed = False

    def start(self, receiver: Receiver) -> None:
        """Set the receiver; call once, before `listen` and `connect`."""
        self._receiver = receiver

    async def listen(self, endpoint: ListenOn) -> Address:
        """Listen and return the bound address; raises TransportFailed for a bad address or certificate."""
        try:
            if endpoint.transport == "udp":
                listener = UdpListener(endpoint.bind, self._who())
                self._udp.append(listener)
                return listener.local
            return await self._listen_stream(endpoint)
        except OSError as error:
            where = f"{endpoint.transport} {endpoint.bind[0]} port {endpoint.bind[1]}"
            raise TransportFailed(f"cannot listen on {where}: {error.strerror or error}") from error

    async def resolve(self, uri: Uri, profile: str = "") -> list[Target]:
        """Resolve a URI to targets, best first, to be reached with this TLS profile."""
        found = await self._resolver.resolve(uri, ALL if self._udp else STREAMS)
        return [replace(target, profile=profile) for target in found] if profile else found

    async def connect(self, target: Target) -> Flow:
        """A flow to the target: from a UDP listener, or over an open or new outbound connection."""
        if self._closed:
            raise TransportFailed("the network is closed")
        return self._udp_flow(target) if target.transport == "udp" else await self._dialer.connect(target)

    def alias(self, flow: Flow, port: int) -> None:
        """Reuse an inbound, mutually authenticated connection for requests to its peer (RFC 5923 §8.2)."""
        if isinstance(flow, StreamFlow) and flow.inbound and flow.mutual and not flow.closed:
            self._dialer.alias(flow, (flow.remote[0], port))

    async def close(self) -> None:
        """Close every listener and connection, and wait until their sockets are closed."""
        self._closed = True
        for listener in self._udp:
            listener.close()
        for server in self._servers:
            server.close()
        self.connections.closing = True
        await self._dialer.close()
        for connection in self.connections:
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITES_S):
                await self.connections.empty.wait()
        for connection in self.connections:
            connection.abort()
        await self.connections.empty.wait()
        for server in self._servers:
            await server.wait_closed()

    async def _listen_stream(self, endpoint: ListenOn) -> Address:
        context: ServerContext | None = None
        if endpoint.transport == "tls":
            if endpoint.tls is None:
                raise TransportFailed("a tls listener needs a certificate and a key")
            context = ServerContext(endpoint.tls)
        elif endpoint.transport != "tcp":
            raise TransportFailed(f"transport not supported: {endpoint.transport}")

        def accepted() -> StreamFlow:
            return self._flow(inbound=True, engine=context.engine() if context else None)

        server = await asyncio.get_running_loop().create_server(accepted, *endpoint.bind, backlog=BACKLOG)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    def _udp_flow(self, target: Target) -> Flow:
        listener = pick_listener(self._udp, target.address)
        if listener is None:
            raise TransportFailed(f"no udp listener can send to {target.address[0]}")
        return listener.flow(target.address)

    def _flow(self, *, inbound: bool, engine: TlsEngine | None) -> StreamFlow:
        return StreamFlow(self._who(), self._limits, inbound=inbound, engine=engine, tracker=self.connections)

    def _keep(self, flow: StreamFlow) -> None:
        """Keep an outbound connection alive, and close it when it is no longer needed."""
        receiver = self._who()
        KeepAlive(flow, self._keep_alive, lambda: receiver.needs(flow), self._draw)

    def _who(self) -> Receiver:
        assert self._receiver is not None, "start() comes before listen() and connect()"
        return self._receiver
