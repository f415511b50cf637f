"""A scripted SIP peer at message level; shows the ladder if something unexpected happens.

    caller = Carrier(network, edge="sbc.example.com:5060")
    await caller.start()
    await caller.invites()
    await caller.receives(200, within_s=5)
    await caller.hangs_up()

It runs over any `Network`: real sockets, or memory in virtual time. It has no transaction state machines: it
records what it sent and repeats it for a retransmission. A peer may hold many calls; its verbs apply to the
latest, and each call has the same verbs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Protocol, overload

from proxy.lab.expect import Message, Traced, Unexpected, What, ladder
from proxy.lab.peer_call import WITHIN_S, Pairs, PeerCall
from proxy.lab.peer_sdp import Audio
from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, ListenOn, Network, TransportFailed, bracketed
from proxy.transport.tls import ServerTls

AUTO = frozenset({"ACK", "BYE", "CANCEL", "NOTIFY", "OPTIONS"})
"""What a peer does automatically: acknowledge a 2xx, and answer these requests with 200.

`INVITE` and `UPDATE` may be added: within a call they are then answered with the current SDP.
"""

Watch = Callable[["Peer", Traced], None]


class PeerIds(Protocol):
    """The source of branches, tags and Call-IDs."""

    def branch(self) -> str: ...
    def tag(self) -> str: ...
    def call_id(self) -> str: ...


class NumberedIds:
    """Numbered ids that contain a name; the name includes the port, so that peers differ."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count(1)

    def branch(self) -> str:
        return f"z9hG4bK-{self._name}-{next(self._numbers)}"

    def tag(self) -> str:
        return f"{self._name}-{next(self._numbers)}"

    def call_id(self) -> str:
        return f"{next(self._numbers)}-{self._name}"


class Peer:
    """One SIP endpoint with an address of its own."""

    def __init__(
        self,
        name: str,
        network: Network,
        *,
        bind: Address = ("127.0.0.1", 0),
        transport: str = "udp",
        tls: ServerTls | None = None,
        public_host: str | None = None,
        audio: Audio | None = None,
        auto: Iterable[str] = AUTO,
        ids: PeerIds | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`network` belongs to this peer alone; `public_host` replaces its address in messages."""
        self.name, self.network, self.transport, self.audio = name, network, transport, audio
        self.auto = set(auto)
        self.address: Address = bind
        self.calls: dict[str, PeerCall] = {}
        """Every call so far, by Call-ID."""
        self.call: PeerCall | None = None
        """The call that the verbs apply to: the latest."""
        self.trace: list[Traced] = []
        """Every message, in and outside of calls."""
        self.faults: list[str] = []
        """Violations by the other end of its RFC or of the script."""
        self.losses: list[str] = []
        """Connections that broke, and messages that could not be sent."""
        self._tls, self._watch, self._public_host = tls, watch, public_host
        self._ids = ids
        self._arrivals: asyncio.Queue[PeerCall] = asyncio.Queue()

    async def start(self) -> Address:
        """Start listening; returns `address`."""
        self.network.start(self)
        self.address = await self.network.listen(ListenOn(self.transport, self.address, self._tls))
        return self.address

    async def close(self) -> None:
        """Stop all calls and close the network."""
        for call in self.calls.values():
            call.stop()
            if self.audio is not None:
                self.audio.stop()
        await self.network.close()

    @property
    def host(self) -> str:
        """Our host for Via and Contact."""
        host = self.address[0]
        return self._public_host or bracketed(host)

    @property
    def ids(self) -> PeerIds:
        if self._ids is None:
            self._ids = NumberedIds(f"{self.name}-{self.address[1]}")
        return self._ids

    def vias(self, branch: str) -> list[str]:
        """The Via values of a request we send, the top one first."""
        return [f"SIP/2.0/{self.transport.upper()} {self.host}:{self.address[1]};branch={branch};rport"]

    def uri(self, user: str) -> str:
        """A URI of this peer."""
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{user}@{self.host}:{self.address[1]}{transport}"

    async def flow_to(self, uri: Uri) -> Flow:
        """Connect to the first reachable target of a URI."""
        failed = TransportFailed(f"{uri} leads nowhere")
        for target in await self.network.resolve(uri):
            try:
                return await self.network.connect(target)
            except TransportFailed as error:
                failed = error
        raise failed

    # The verbs of scripts; those of a call apply to the latest one.

    async def invited(self, *, within_s: float = WITHIN_S) -> PeerCall:
        """Wait for the next call; the verbs apply to it from now on."""
        try:
            async with asyncio.timeout(within_s):
                self.call = await self._arrivals.get()
        except TimeoutError:
            raise Unexpected(f"{self.name} waited {within_s:g} s for a call\n{self}") from None
        return self.call

    @overload
    async def receives(self, what: str, *, within_s: float = ..., **conditions: object) -> Request: ...
    @overload
    async def receives(self, what: int, *, within_s: float = ..., **conditions: object) -> Response: ...
    async def receives(self, what: What, *, within_s: float = WITHIN_S, **conditions: object) -> Message:
        """Wait for the next message; an INVITE while no call is in progress means a new call.

        See `PeerCall.receives`.
        """
        if what == "INVITE" and (self.call is None or self.call.over):
            invite = (await self.invited(within_s=within_s)).invite
            assert invite is not None
            return invite
        return await self.current.receives(what, within_s=within_s, **conditions)

    async def receives_nothing(self, *, for_s: float) -> None:
        """Wait, and fail if a message or a call arrives."""
        before = self._arrivals.qsize()
        if self.call is None:
            await asyncio.sleep(for_s)
        else:
            await self.call.receives_nothing(for_s=for_s)
        if self._arrivals.qsize() > before:
            raise Unexpected(f"{self.name} awaits nothing for {for_s:g} s, but a call came\n{self}")

    def responds(
        self,
        request: Request,
        status: int,
        reason: str | None = None,
        *,
        sdp: bytes | None = None,
        headers: Pairs = (),
    ) -> Response:
        """Answer a request of the call."""
        return self.current.responds(request, status, reason, sdp=sdp, headers=headers)

    async def requests(self, method: str, *, body: bytes = b"", headers: Pairs = ()) -> Response:
        """Send a request within the call and return its final response."""
        return await self.current.requests(method, body=body, headers=headers)

    async def hangs_up(self) -> Response:
        """Send BYE and return the response."""
        return await self.current.hangs_up()

    @property
    def current(self) -> PeerCall:
        """The call in progress, or the last one."""
        if self.call is None:
            raise Unexpected(f"{self.name} has no call\n{self}")
        return self.call

    # Callbacks of the network.

    def received(self, flow: Flow, data: bytes) -> None:
        """Handle a message: it belongs to the call with its Call-ID, or starts one."""
        try:
            message = parse_message(data)
        except ParseError as error:
            self.fault(f"malformed: {error}: {data[:80]!r}")
            return
        call = self.calls.get(message.call_id)
        if call is not None and isinstance(message, Request) and call.is_new_attempt(message):
            call = None
        self.traced("<", message, call)
        if call is not None:
            call.received(flow, message)
        elif isinstance(message, Request):
            self.outside(flow, message)
        else:
            self.fault(f"a response to nothing: {message.start_line}")

    def welcomes(self, flow: Flow) -> bool:
        return True

    def bars(self, flow: Flow) -> bool:
        return False

    def needs(self, flow: Flow) -> bool:
        return True

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        self.fault(f"unframeable: {error}")

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        self.losses.append(str(error))

    def outside(self, flow: Flow, request: Request) -> None:
        """Handle a request outside known calls: a new call, an OPTIONS, or a fault."""
        if request.method == "INVITE" and not request.to_tag:
            if self.admits(flow, request):
                self._arrivals.put_nowait(self.takes(flow, request))
        elif request.method == "OPTIONS":
            self.says(flow, request, request.reply(200, to_tag=self.ids.tag()))
        elif request.method != "ACK":
            self.fault(f"a request of no call: {request.start_line}")
            self.says(flow, request, request.reply(481, to_tag=self.ids.tag()))

    def admits(self, flow: Flow, invite: Request) -> bool:
        """Whether this INVITE starts a call; otherwise it has been answered here."""
        return True

    def takes(self, flow: Flow, invite: Request) -> PeerCall:
        """Make the call that this INVITE starts."""
        local = f"{invite.headers.get('To')};tag={self.ids.tag()}"
        call = PeerCall(
            self, invite.call_id, flow, local, invite.headers.get("From") or "", f"<{self.uri(self.name)}>"
        )
        self.calls[call.call_id] = call
        call.trace.append(self.trace[-1])
        call.received(flow, invite)
        return call

    def says(self, flow: Flow, request: Request, response: Response, *headers: tuple[str, str]) -> None:
        """Answer a request outside of calls."""
        response.headers = Headers([*response.headers, *headers])
        self.traced(">", response, None)
        flow.send(response.encode())

    def fault(self, what: str) -> None:
        """Record a fault of the other end."""
        self.faults.append(what)

    def traced(self, direction: str, message: Message, call: PeerCall | None) -> None:
        """Record a message that was received or sent."""
        traced = Traced(asyncio.get_running_loop().time(), direction, message)
        self.trace.append(traced)
        if call is not None:
            call.trace.append(traced)
        if self._watch is not None:
            self._watch(self, traced)

    def __str__(self) -> str:
        return ladder(self.trace)
