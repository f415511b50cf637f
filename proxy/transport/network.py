"""The network of sockets: listeners, the table of connections, and how new ones are made (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import contextlib

from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, ListenOn, Receiver, Target, TransportFailed
from proxy.transport.resolver import ALL, Resolver
from proxy.transport.stream import StreamFlow, StreamLimits
from proxy.transport.tls import ClientTls, ServerContext, TlsEngine
from proxy.transport.udp import UdpListener, pick_listener

BACKLOG = 512
STREAMS = ("tcp", "tls")
"""What can always be sent over; UDP needs a listener."""
LAST_WRITES_S = 1.0
"""How long `close()` waits for connections to write what is left."""


class SocketNetwork:
    """A `Network` over real sockets, for any asyncio loop."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        client_tls: ClientTls | None = None,
        connect_timeout_s: float = 4.0,
        limits: StreamLimits | None = None,
    ) -> None:
        """`connect_timeout_s` covers the TCP connection and the TLS handshake together."""
        self._resolver = resolver or Resolver()
        self._client_tls = client_tls
        self._connect_timeout_s = connect_timeout_s
        self._limits = limits or StreamLimits()
        self._receiver: Receiver | None = None
        self._udp: list[UdpListener] = []
        self._servers: list[asyncio.Server] = []
        self._connections: set[StreamFlow] = set()
        self._made: dict[Target, StreamFlow] = {}
        self._attempts: dict[Target, asyncio.Task[StreamFlow | TransportFailed]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    def start(self, receiver: Receiver) -> None:
        """Say who receives; once, before `listen` and `connect`."""
        self._receiver = receiver

    def flows(self) -> int:
        """Connections whose socket is open: 0 after `close()`."""
        return len(self._connections)

    async def listen(self, endpoint: ListenOn) -> Address:
        """Listen; raises TransportFailed if address, certificate or key cannot be had."""
        try:
            if endpoint.transport == "udp":
                listener = UdpListener(endpoint.bind, self._who())
                self._udp.append(listener)
                return listener.local
            return await self._listen_stream(endpoint)
        except OSError as error:
            where = f"{endpoint.transport} {endpoint.bind[0]} port {endpoint.bind[1]}"
            raise TransportFailed(f"cannot listen on {where}: {error.strerror or error}") from error

    async def resolve(self, uri: Uri) -> list[Target]:
        """The places this URI leads to, best first."""
        return await self._resolver.resolve(uri, ALL if self._udp else STREAMS)

    async def connect(self, target: Target) -> Flow:
        """A flow to the target: over a UDP listener, a living connection that we made, or a new one."""
        if self._closed:
            raise TransportFailed("the network is closed")
        if target.transport == "udp":
            return self._udp_flow(target)
        standing = self._made.get(target)
        if standing is not None and not standing.closed:
            return standing
        attempt = self._attempts.get(target)
        if attempt is None:
            attempt = asyncio.create_task(self._dial(target), name=f"connect to {target.name}")
            self._attempts[target] = attempt
            attempt.add_done_callback(lambda _: self._attempts.pop(target, None))
        # Several calls may wait for one attempt: one that is cancelled must not take it from the others.
        try:
            made = await asyncio.shield(attempt)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise TransportFailed("the network is closed") from None
        if isinstance(made, TransportFailed):
            raise TransportFailed(str(made))
        return made

    async def close(self) -> None:
        """Close every listener and connection, and wait until their sockets are gone."""
        self._closed = True
        for listener in self._udp:
            listener.close()
        for server in self._servers:
            server.close()
        for attempt in list(self._attempts.values()):
            attempt.cancel()
        await asyncio.gather(*self._attempts.values(), return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITES_S):
                await self._empty.wait()
        for connection in list(self._connections):
            connection.abort()
        await self._empty.wait()
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
        receiver = self._who()

        def accepted() -> StreamFlow:
            return self._flow(receiver, inbound=True, engine=context.engine() if context else None)

        server = await asyncio.get_running_loop().create_server(accepted, *endpoint.bind, backlog=BACKLOG)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    def _udp_flow(self, target: Target) -> Flow:
        listener = pick_listener(self._udp, target.address)
        if listener is None:
            raise TransportFailed(f"no udp listener can send to {target.address[0]}")
        return listener.flow(target.address)

    async def _dial(self, target: Target) -> StreamFlow | TransportFailed:
        """Make a connection; returns its failure, so that one nobody waits for any more stays quiet."""
        try:
            engine = self._engine(target)
        except TransportFailed as error:
            return error
        flow = self._flow(self._who(), inbound=False, engine=engine)
        with contextlib.ExitStack() as undo:
            undo.callback(flow.abort)
            failure = await self._open(flow, target)
            if failure is not None:
                return failure
            undo.pop_all()
        self._made[target] = flow
        return flow

    async def _open(self, flow: StreamFlow, target: Target) -> TransportFailed | None:
        """Connect, shake hands; what went wrong, or None."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: flow, *target.address)
                failure = await flow.opened
        except TimeoutError:
            failure = TransportFailed(f"no answer within {self._connect_timeout_s:g} s")
        except OSError as error:
            failure = TransportFailed(error.strerror or str(error))
        if failure is None:
            return None
        return TransportFailed(f"no connection to {_place(target)}: {failure}")

    def _engine(self, target: Target) -> TlsEngine | None:
        if target.transport == "tcp":
            return None
        if target.transport != "tls":
            raise TransportFailed(f"transport not supported: {target.transport}")
        if self._client_tls is None:
            self._client_tls = ClientTls()
        return self._client_tls.engine(target.name)

    def _flow(self, receiver: Receiver, *, inbound: bool, engine: TlsEngine | None) -> StreamFlow:
        return StreamFlow(receiver, self._limits, inbound=inbound, engine=engine, keeper=self)

    def opened(self, flow: StreamFlow) -> None:
        """A connection's socket is open (called by the connection)."""
        self._connections.add(flow)
        self._empty.clear()
        if self._closed:
            flow.abort()

    def gone(self, flow: StreamFlow) -> None:
        """A connection's socket is closed (called by the connection)."""
        self._connections.discard(flow)
        for target in [target for target, made in self._made.items() if made is flow]:
            del self._made[target]
        if not self._connections:
            self._empty.set()

    def _who(self) -> Receiver:
        assert self._receiver is not None, "start() comes before listen() and connect()"
        return self._receiver


def _place(target: Target) -> str:
    return f"{target.name} ({target.address[0]} port {target.address[1]}) over {target.transport}"
