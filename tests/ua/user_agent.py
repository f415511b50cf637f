"""A user agent core on an in-memory network, and a peer that sends exactly what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from structlog.testing import capture_logs

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.sipfrag import parse_sipfrag
from proxy.transport.flow import Flow, ListenOn, Target, TransportFailed
from proxy.ua.advertised import Advertised
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.timer_queue import TimerQueue
from proxy.ua.transactions import ServerTransaction
from tests.kit import messages
from tests.kit.ids import CountingIds
from tests.kit.messages import SDP
from tests.kit.network import Wire

EDGE, PEER, STRANGER = "203.0.113.10", "192.0.2.1", "192.0.2.66"
HOST = "sbc.example.com"
PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}

NOTHING = b"v=0\r\nnothing taken\r\n"
Message = Request | Response


@dataclass
class Heard:
    """A received message, with its loop time and flow."""

    at: float
    flow: Flow
    message: Message


class Peer:
    """A SIP endpoint that records what it receives, and sends only what the test tells it to."""

    def __init__(
        self, wire: Wire, address: str = PEER, transport: str = "udp", names: tuple[str, ...] = ()
    ) -> None:
        self.wire, self.address, self.transport = wire, address, transport
        self.network = wire.host(address, names=names)
        self.heard: list[Heard] = []
        self.unparsable: list[bytes] = []
        """Received data that could not be parsed."""
        self._unread: asyncio.Queue[Heard] = asyncio.Queue()

    async def start(self) -> None:
        self.network.start(self)
        await self.network.listen(ListenOn(self.transport, (self.address, PORTS[self.transport])))

    def received(self, flow: Flow, data: bytes) -> None:
        try:
            message = parse_message(data)
        except ParseError:
            return self.unparsable.append(data)
        heard = Heard(asyncio.get_running_loop().time(), flow, message)
        self.heard.append(heard)
        self._unread.put_nowait(heard)

    def bars(self, flow: Flow) -> bool:
        return False

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        raise AssertionError(error)

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        """Ignored: tests look at the flow itself."""

    async def flow(self) -> Flow:
        """A flow to the core under test: the existing connection if it is still open."""
        return await self.network.connect(Target(self.transport, (EDGE, PORTS[self.transport]), HOST))

    async def says(self, message: Message | bytes, *, flow: Flow | None = None) -> None:
        """Send a message or raw bytes to the core under test."""
        data = message if isinstance(message, bytes) else message.encode()
        (flow or await self.flow()).send(data)

    async def hears(self, what: str | int, *, within_s: float = 70.0) -> Any:
        """Wait for the next message with this method or status, skipping others."""
        async with asyncio.timeout(within_s):
            while True:
                heard = await self._unread.get()
                if what == _kind(heard.message):
                    return heard.message

    async def hears_nothing(self, for_s: float) -> None:
        """Discard what has arrived so far, then assert that nothing arrives for this long."""
        while not self._unread.empty():
            self._unread.get_nowait()
        await asyncio.sleep(for_s)
        assert self._unread.empty(), self._unread.get_nowait().message.start_line

    def answers(self, request: Request, status: int, **fields: Any) -> None:
        """Send a response on the flow that the request arrived on."""
        if request.method == "INVITE" and 100 < status < 300:
            fields.setdefault("contact", f"<sip:bob@{self.address}:{PORTS[self.transport]}>")
        if request.method == "INVITE" and status == 200:
            fields.setdefault("body", SDP)
        self.repeats(request, messages.response(request, status, **fields))

    def repeats(self, request: Request, response: Response) -> None:
        """Send this response, possibly again, on the flow that the request arrived on."""
        flow = next(heard.flow for heard in reversed(self.heard) if heard.message == request)
        flow.send(response.encode())

    def times(self, what: str | int) -> list[float]:
        """Arrival times of messages with this method or status, in seconds after the first."""
        times = [heard.at for heard in self.heard if _kind(heard.message) == what]
        return [round(at - times[0], 3) for at in times]

    def count(self, what: str | int) -> int:
        return len(self.times(what))

    def all(self, what: str | int) -> list[Any]:
        return [heard.message for heard in self.heard if _kind(heard.message) == what]


def _kind(message: Message) -> str | int:
    return message.method if isinstance(message, Request) else message.status


@dataclass
class Media:
    """Media of a leg with fixed session descriptions; records the calls made to it."""

    refuses: int | None = None
    """Status with which every description is refused; None refuses nothing."""
    calls: list[tuple[str, bytes]] = field(default_factory=list)
    keys: list[tuple[str, float]] = field(default_factory=list)
    heard_early: list[bytes] = field(default_factory=list)
    ip_version: int | None = None
    near: tuple[str, str] | None = None
    late: bool = False
    """Make no offer, so that the called peer makes the first one (delayed offer)."""
    leaves_open: bool = False
    """Return no answer from `accept`, as when the answer takes time."""
    concedes: bool = False
    """Fall back to another offer, once, when the first is refused."""

    def use_ip_version(self, ip_version: int, near: tuple[str, str] | None = None) -> None:
        self.ip_version, self.near = ip_version, near

    def offer(self) -> bytes:
        self._take("offer", b"")
        return b"" if self.late else SDP

    def repeat_sdp(self) -> bytes:
        self._take("repeat_sdp", b"")
        return SDP

    def take_early_media(self, sdp: bytes) -> None:
        self.heard_early.append(sdp)

    def fall_back(self) -> bool:
        conceded, self.concedes = self.concedes, False  # once
        self.late = self.late and not conceded
        return conceded

    def refuse_all(self, sdp: bytes) -> bytes:
        return NOTHING

    def answered(self, sdp: bytes) -> None:
        self._take("answered", sdp)

    def accept(self, sdp: bytes) -> bytes:
        self._take("accept", sdp)
        return b"" if self.leaves_open else SDP

    def key_pressed(self, digit: str, seconds: float) -> None:
        self.keys.append((digit, seconds))

    def _take(self, what: str, sdp: bytes) -> None:
        self.calls.append((what, sdp))
        if self.refuses is not None:
            raise OfferRefused("not that", self.refuses)


class UserAgent:
    """The core under test, its peer, and its gate, which admits everybody but the strangers."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.network = self.wire.host(EDGE, names=[HOST])
        self.turned_away: list[str] = []
        self.unreadable: list[str] = []
        self.failures: list[str] = []
        self.strangers = {STRANGER}
        self.barred: set[str] = set()
        self.peers: set[str] = set()
        self.invitations: asyncio.Queue[ServerTransaction] = asyncio.Queue()
        self.ids = CountingIds()
        self.peer = Peer(self.wire)
        self.loop_errors: list[dict[str, Any]] = []
        """Exceptions that asyncio reported because nothing retrieved them."""

    async def start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: self.loop_errors.append(what))
        self.core = UserAgentCore(
            self.network,
            ids=self.ids,
            advertised=Advertised(HOST, PORTS),
            gate=self,
            invited=self.invitations.put_nowait,
        )
        self.network.start(self.core)
        for transport, port in PORTS.items():
            await self.network.listen(ListenOn(transport, (EDGE, port)))
        await self.peer.start()

    def admits(self, flow: Flow) -> bool:
        return flow.remote[0] not in self.strangers

    def bars(self, flow: Flow) -> bool:
        return flow.remote[0] in self.barred

    def ignores(self, flow: Flow, data: bytes) -> bool:
        return self.bars(flow)

    def scans(self, flow: Flow, request: Request) -> bool:
        return request.headers.get("User-Agent") == "friendly-scanner"

    def failed(self, flow: Flow) -> None:
        self.failures.append(flow.remote[0])

    def proved(self, flow: Flow) -> None:
        self.peers.add(flow.remote[0])

    def refused(self, flow: Flow) -> None:
        self.turned_away.append(flow.remote[0])

    def malformed(self, flow: Flow, error: ParseError) -> None:
        self.unreadable.append(str(error))

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def invited(self) -> ServerTransaction:
        """Wait for the next INVITE that starts a call."""
        async with asyncio.timeout(5):
            return await self.invitations.get()

    def leg(self, name: str = "caller", **options: Any) -> Leg:
        return Leg(name, self.core, Media(), **options)

    async def ringing_leg(self, invite: Request | None = None, peer: Peer | None = None) -> Leg:
        """A leg created by the peer's INVITE, not yet answered."""
        await (peer or self.peer).says(invite or messages.invite())
        leg = self.leg()
        leg.invited(await self.invited())
        return leg

    async def answered_leg(
        self, invite: Request | None = None, peer: Peer | None = None
    ) -> tuple[Leg, Response]:
        """A leg created by the peer's INVITE, answered and acknowledged; and our 200."""
        peer, invite = peer or self.peer, invite or messages.invite()
        leg = await self.ringing_leg(invite, peer)
        answering = asyncio.ensure_future(leg.answer())
        response = await peer.hears(200)
        await peer.says(messages.ack(invite, to_tag=response.to_tag))
        await answering
        return leg, response

    async def start_call(
        self, uri: str = f"sip:bob@{PEER}:5060", peer: Peer | None = None, **options: Any
    ) -> tuple[Leg, asyncio.Task[None], Request]:
        """An outgoing leg, the task that runs its `invite`, and the INVITE as the peer received it."""
        party = {name: options.pop(name) for name in ("credentials", "alternative") if name in options}
        media = {name: options.pop(name) for name in ("late", "leaves_open", "concedes") if name in options}
        leg = self.leg("agent", **options)
        leg.media = Media(**media) if media else leg.media
        task = asyncio.ensure_future(leg.invite(Outgoing(uri, f"<sip:us@{HOST}>", **party)))
        return leg, task, await (peer or self.peer).hears("INVITE")

    async def connected_leg(self, peer: Peer | None = None, **options: Any) -> tuple[Leg, Request]:
        """An outgoing leg that the peer has answered, and its INVITE."""
        peer = peer or self.peer
        ok = options.pop("ok", {})
        leg, task, invite = await self.start_call(peer=peer, **options)
        peer.answers(invite, 200, **ok)
        await task
        await peer.hears("ACK")
        return leg, invite

    async def assert_clean(self, after_s: float = 70.0) -> None:
        """Assert that nothing is left open and no timer is pending."""
        await asyncio.sleep(after_s)
        assert not any(self.core.left_over().values()), self.core.left_over()
        assert pending_timers() == []


async def wait_for_ringing(leg: Leg) -> int:
    """Wait for the first provisional status above 100."""
    while leg.ringing is None:
        await asyncio.sleep(0.001)
    return leg.ringing


def pending_timers() -> list[float]:
    """The loop times of all pending timers."""
    scheduled = cast(Any, asyncio.get_running_loop())._scheduled
    times: list[float] = []
    for handle in scheduled:
        owner = getattr(handle._callback, "__self__", None)
        if not handle.cancelled():
            times += owner.pending if isinstance(owner, TimerQueue) else [handle.when()]
    return times


@asynccontextmanager
async def running_user_agent() -> AsyncIterator[UserAgent]:
    """A started core and its peer; fails on logged errors and on exceptions that nothing retrieved."""
    with capture_logs() as logs:
        ua = UserAgent()
        await ua.start()
        yield ua
        await ua.core.close()
        await ua.network.close()
        await ua.peer.network.close()
    if errors := [each for each in logs if each["log_level"] in ("error", "critical")]:
        raise AssertionError(f"logged: {errors}")
    if ua.loop_errors:
        raise AssertionError(f"not retrieved: {ua.loop_errors}")


def from_caller(invite: Request, method: str, ours: Response, number: int, **fields: Any) -> Request:
    """A request of the peer in the dialog that its INVITE and our response `ours` created."""
    fields.setdefault("branch", f"z9hG4bK{method.lower()}{number}")
    return messages.within(invite, method, to_tag=ours.to_tag or "", cseq=number, **fields)


def from_callee(
    invite: Request, method: str, number: int = 1, *, tag: str = "bob1", **fields: Any
) -> Request:
    """A request of the peer in the dialog that our INVITE and its response created."""
    fields.setdefault("branch", f"z9hG4bK{method.lower()}{number}")
    body = fields.pop("body", b"")
    lines = [
        f"{method} {invite.contact.raw_uri if invite.contact else invite.uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {PEER}:5060;branch={fields['branch']};rport",
        "Max-Forwards: 70",
        f"From: {invite.headers.get('To')};tag={tag}",
        f"To: {invite.headers.get('From')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {number} {method}",
        f"Contact: <sip:bob@{PEER}:5060>",
        *(f"{name}: {value}" for name, value in fields.get("headers", ())),
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return cast(Request, parse_message("\r\n".join([*lines, "", ""]).encode() + body))


def ack_from_callee(invite: Request, reinvite: Request, body: bytes = b"") -> Request:
    """The peer's ACK for our 200 to its re-INVITE, in a dialog that our INVITE created."""
    return from_callee(
        invite, "ACK", reinvite.cseq.number, branch=f"z9hG4bKack{reinvite.cseq.number}", body=body
    )


def notified_status(notify: Request) -> int:
    """The status in the sipfrag body of a NOTIFY."""
    return parse_sipfrag(notify.body)
