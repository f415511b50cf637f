"""One call of a scripted peer: sends what the script says, and waits for what it expects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from proxy.lab.expect import Message, Traced, Unexpected, What, is_what, ladder, meets
from proxy.lab.peer_sdp import talk
from proxy.lab.retransmission import ReceivedRequest, Retransmission, SentRequest
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.transaction_key import TransactionKey, client_key, server_key
from proxy.sip.uri import Uri
from proxy.sip.values import CSeq
from proxy.transport.flow import Flow, TransportFailed

if TYPE_CHECKING:
    from proxy.lab.peer import Peer

WITHIN_S = 40.0
"""Default time limit of a wait: longer than any transaction lasts."""

Pairs = Iterable[tuple[str, str]]


@dataclass(slots=True)
class PeerCall:
    """A call as the peer sees it; found by its Call-ID alone, whichever connection a message comes on."""

    peer: Peer
    call_id: str
    flow: Flow
    local: str
    """Our From value, tag included."""
    remote: str
    """Their To value; the tag is taken from the first response that has one."""
    contact: str
    """Our Contact, as we send it."""
    target: str = ""
    """Request-URI of what we send within the dialog: their Contact, byte for byte."""
    sdp: bytes = b""
    """Our current session description."""
    routes: list[str] = field(default_factory=list)
    """The route set that their in-dialog requests must carry, in order."""
    cseq: int = 0
    invite: Request | None = None
    """The last INVITE, by either side."""
    answered: bool = False
    """Whether the first INVITE has a final response."""
    over: bool = False
    on_over: list[Callable[[], None]] = field(default_factory=list)
    """Called once, when the call ends, by either side."""
    trace: list[Traced] = field(default_factory=list)
    inbox: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    _asked: dict[TransactionKey, SentRequest] = field(default_factory=dict)
    _answers: dict[TransactionKey, ReceivedRequest] = field(default_factory=dict)

    @overload
    async def receives(self, what: str, *, within_s: float = ..., **conditions: object) -> Request: ...
    @overload
    async def receives(self, what: int, *, within_s: float = ..., **conditions: object) -> Response: ...
    async def receives(self, what: What, *, within_s: float = WITHIN_S, **conditions: object) -> Message:
        """Wait for the next message, which must match; skips messages that need no attention.

        Those are provisional responses, ACKs, and requests answered automatically (`Peer.auto`).
        """
        wanted = f"{what}{f' with {conditions}' if conditions else ''}"
        try:
            async with asyncio.timeout(within_s):
                while True:
                    message = await self.inbox.get()
                    if is_what(message, what) and meets(message, conditions):
                        return message
                    if not self._passes(message):
                        raise self._surprise(f"awaits {wanted}, but {message.start_line} came")
        except TimeoutError:
            raise self._surprise(f"waited {within_s:g} s for {wanted}") from None

    async def receives_nothing(self, *, for_s: float) -> None:
        """Wait, and fail if anything but skipped messages arrives."""
        try:
            async with asyncio.timeout(for_s):
                while self._passes(message := await self.inbox.get()):
                    pass
        except TimeoutError:
            return
        raise self._surprise(f"awaits nothing for {for_s:g} s, but {message.start_line} came")

    async def requests(
        self, method: str, *, body: bytes = b"", headers: Pairs = (), within_s: float = WITHIN_S
    ) -> Response:
        """Send a request within the dialog and return its final response."""
        asked = await self._ask(self.request(method, body=body, headers=headers), quiet=True)
        return await self._final(asked, within_s)

    async def sends(self, method: str, *, body: bytes = b"", headers: Pairs = ()) -> Request:
        """Send a request within the dialog; its responses are queued for `receives`."""
        return (await self._ask(self.request(method, body=body, headers=headers), quiet=False)).request

    def request(self, method: str, *, body: bytes = b"", headers: Pairs = ()) -> Request:
        """Build the next request of the dialog (§12.2.1.1), with a new CSeq and Via."""
        self.cseq += 1
        return self._build(method, self.cseq, self.peer.vias(self.peer.ids.branch()), body, headers)

    async def launch(self, invite: Request) -> None:
        """Send the INVITE that starts the call."""
        self.invite = invite
        await self._ask(invite, quiet=False)

    async def reinvites(self, sdp: bytes, *, headers: Pairs = (), within_s: float = WITHIN_S) -> Response:
        """Send a re-INVITE and return the final response, acknowledged."""
        before, self.sdp = self.sdp, sdp
        response = await self.requests("INVITE", body=sdp, headers=headers, within_s=within_s)
        if response.status >= 300:
            self.sdp = before
        return response

    async def cancels(self, *, headers: Pairs = (), within_s: float = WITHIN_S) -> Response:
        """Cancel the INVITE and return the response to the CANCEL; the INVITE's is queued for `receives`."""
        assert self.invite is not None
        lines = [("Via", self.invite.headers.split("Via")[0]), ("Max-Forwards", "70")]
        lines += [(name, self.invite.headers.get(name) or "") for name in ("From", "To", "Call-ID")]
        cancel = Request("CANCEL", self.invite.uri, Headers(lines))
        cancel.headers.add("CSeq", f"{self.invite.cseq.number} CANCEL")
        cancel.headers.extend(headers)
        return await self._final(await self._ask(cancel, quiet=True), within_s)

    async def hangs_up(self, *, within_s: float = WITHIN_S) -> Response:
        """Send BYE and return the response: 200, or 481 if both sides' BYEs crossed."""
        self.finish()
        return await self.requests("BYE", within_s=within_s)

    def acks(self) -> None:
        """Acknowledge the 2xx to our INVITE; only for a `Peer.auto` without ACK.

        An offer in the 2xx is answered with `sdp`.
        """
        inviting = [each for each in self._asked.values() if each.request.method == "INVITE"]
        asked = next(each for each in reversed(inviting) if each.final.done())
        body = self.sdp if asked.final.result().body and not asked.request.body else b""
        vias = self.peer.vias(self.peer.ids.branch())
        asked.ack = self._build("ACK", asked.request.cseq.number, vias, body)
        self._put(self.flow, asked.ack)

    def responds(
        self,
        request: Request,
        status: int,
        reason: str | None = None,
        *,
        sdp: bytes | None = None,
        headers: Pairs = (),
    ) -> Response:
        """Answer a request; a 2xx to an INVITE is retransmitted until its ACK arrives (§13.3.1.4)."""
        tag = None if status == 100 else self.local_tag
        response = request.reply(
            status, reason, to_tag=tag, body=sdp or b"", content_type="application/sdp" if sdp else None
        )
        if request.method in ("INVITE", "UPDATE") and 100 < status < 300:
            response.headers.add("Contact", self.contact)
        for name, value in headers:
            response.headers.add(name, value)
        self.replies(request, response)
        return response

    def replies(self, request: Request, response: Response) -> None:
        """Send this response unchanged, and again for each retransmission of the request."""
        entry = self._answers[server_key(request)]
        entry.response = response
        self._put(entry.flow, response)
        if request.method != "INVITE" or response.status < 200:
            return
        self.answered = True
        if response.status < 300 or not entry.flow.reliable:
            entry.resend = Retransmission(lambda: self._put(entry.flow, response))
        if response.status < 300:
            self._talk(request.body)
        elif request.to_tag is None:
            self.finish()

    def is_new_attempt(self, request: Request) -> bool:
        """Whether this is an INVITE sent anew, with what our refusal of the last one asked for."""
        return (
            self.over
            and request.method == "INVITE"
            and request.to_tag is None
            and self.invite is not None
            and self.invite.cseq.number < request.cseq.number
        )

    def received(self, flow: Flow, message: Message) -> None:
        """Handle a message of this call."""
        if isinstance(message, Response):
            self._take_response(message)
        else:
            self._take_request(flow, message)

    def finish(self) -> None:
        """End the call: stop audio and call `on_over`. Calling it again does nothing."""
        if self.over:
            return
        self.over = True
        if self.peer.audio is not None:
            self.peer.audio.stop()
        for told in self.on_over:
            told()

    def stop(self) -> None:
        """Stop all retransmissions."""
        for resend in self._resends():
            resend.stop()

    @property
    def local_tag(self) -> str:
        return self.local.rpartition(";tag=")[2]

    @property
    def resending(self) -> int:
        """The number of messages still being retransmitted."""
        return sum(resend.active for resend in self._resends())

    def __str__(self) -> str:
        return ladder(self.trace)

    # Receiving.

    def _take_response(self, response: Response) -> None:
        asked = self._asked.get(client_key(response))
        if asked is None:
            self.peer.fault(f"a response to nothing: {response.start_line} ({response.headers.get('CSeq')})")
            return
        inviting = asked.request.method == "INVITE"
        if asked.resend is not None and (inviting or response.status >= 200):
            asked.resend.stop()
        if response.status >= 200 and asked.final.done():
            if asked.ack is not None:
                self._put(asked.flow, asked.ack)
            return
        if response.status > 100 and inviting:
            self._learn(response)
        if response.status >= 200:
            asked.final.set_result(response)
            if inviting:
                self._complete(asked, response)
        if not asked.quiet:
            self.inbox.put_nowait(response)

    def _learn(self, response: Response) -> None:
        """Take over the remote tag and target; that of a 2xx is final (§12.1.2, §13.2.2.4)."""
        if response.to_tag and response.status < 300:
            self.remote = response.headers.get("To") or self.remote
        if response.contact is not None and response.status < 300:
            self.target = response.contact.raw_uri

    def _complete(self, asked: SentRequest, response: Response) -> None:
        """Acknowledge the INVITE's final response (§17.1.1.3 for a failure)."""
        first = asked.request.to_tag is None
        if response.status < 300:
            if "ACK" in self.peer.auto:
                self.acks()
            self._talk(response.body)
        else:
            vias = asked.request.headers.split("Via")[:1]
            asked.ack = self._build("ACK", asked.request.cseq.number, vias, to=response.headers.get("To"))
            asked.ack.uri = asked.request.uri
            self._put(asked.flow, asked.ack)
        if first:
            self.answered = True
            if response.status >= 300:
                self.finish()

    def _take_request(self, flow: Flow, request: Request) -> None:
        if request.method == "ACK":
            self._take_ack(request)
            return
        key = server_key(request)
        if known := self._answers.get(key):
            if known.response is not None:
                self._put(known.flow, known.response)
            return
        if request.method == "INVITE" and not request.to_tag and self.invite is not None:
            return  # a late retransmission of the INVITE that was challenged
        self._answers[key] = ReceivedRequest(flow)
        if request.to_tag:
            self._check(request)
        self.flow = flow
        if request.method in ("INVITE", "UPDATE") and request.contact is not None:
            self.target = request.contact.raw_uri
        if request.method == "INVITE":
            self.invite = request
        if request.method in self.peer.auto:
            self._answer_alone(request)
        if request.method != "INVITE" or request.to_tag:
            self.inbox.put_nowait(request)

    def _take_ack(self, ack: Request) -> None:
        for entry in self._answers.values():
            if entry.response is None or entry.response.cseq != CSeq(ack.cseq.number, "INVITE"):
                continue
            if entry.resend is not None:
                entry.resend.stop()
            if entry.response.status < 300:  # the ACK of a 2xx is a request within the dialog
                self._check(ack)
                self._talk(ack.body)
        self.inbox.put_nowait(ack)

    def _answer_alone(self, request: Request) -> None:
        match request.method:
            case "CANCEL":
                self.responds(request, 200)
                if self.invite is not None and not self.answered:
                    self.responds(self.invite, 487)
            case "INVITE" | "UPDATE":
                if request.to_tag:
                    timer = [(name, value) for name, value in request.headers if name == "Session-Expires"]
                    self.responds(request, 200, sdp=self.sdp if request.body else None, headers=timer)
            case _:
                if request.method == "BYE":
                    self.finish()
                self.responds(request, 200)

    def _check(self, request: Request) -> None:
        """Check that Request-URI and Routes are our Contact and route set, byte for byte (§12.2.1)."""
        contact = self.contact.partition("<")[2].partition(">")[0]
        if request.uri != contact:
            self.peer.fault(f"{request.method} is addressed to {request.uri}, our Contact is {contact}")
        routes = request.headers.split("Route")
        if routes != self.routes:
            self.peer.fault(f"{request.method} carries the routes {routes}, owed are {self.routes}")

    def _passes(self, message: Message) -> bool:
        if isinstance(message, Response):
            return message.status < 200
        return message.method == "ACK" or message.method in self.peer.auto

    def _surprise(self, what: str) -> Unexpected:
        return Unexpected(f"{self.peer.name} {what}\n{self}")

    # Sending.

    def _build(
        self,
        method: str,
        number: int,
        vias: list[str],
        body: bytes = b"",
        headers: Pairs = (),
        to: str | None = None,
    ) -> Request:
        lines = [("Via", via) for via in vias]
        lines += [("Max-Forwards", "70"), ("From", self.local), ("To", to or self.remote)]
        lines += [("Call-ID", self.call_id), ("CSeq", f"{number} {method}")]
        if method not in ("ACK", "BYE"):
            lines.append(("Contact", self.contact))
        lines += headers
        if body and not any(name.lower() == "content-type" for name, _ in lines):
            lines.append(("Content-Type", "application/sdp"))
        return Request(method, self.target, Headers(lines), body)

    async def _ask(self, request: Request, *, quiet: bool) -> SentRequest:
        if self.flow.closed:
            self.flow = await self.peer.flow_to(Uri.parse(self.target))
        flow = self.flow
        asked = SentRequest(request, flow, quiet, asyncio.get_running_loop().create_future())
        self._asked[client_key(request)] = asked
        if request.method == "INVITE":
            self.invite = request
        self._put(flow, request)
        if not flow.reliable:
            cap_s = float("inf") if request.method == "INVITE" else 4.0
            asked.resend = Retransmission(lambda: self._put(flow, request), cap_s=cap_s)
        return asked

    async def _final(self, asked: SentRequest, within_s: float) -> Response:
        try:
            async with asyncio.timeout(within_s):
                return await asked.final
        except TimeoutError:
            waited = f"waited {within_s:g} s for the answer to {asked.request.start_line}"
            raise self._surprise(waited) from None

    def _resends(self) -> list[Retransmission]:
        entries: list[SentRequest | ReceivedRequest] = [*self._asked.values(), *self._answers.values()]
        return [resend for resend in (entry.resend for entry in entries) if resend is not None]

    def _put(self, flow: Flow, message: Message) -> None:
        """Send on this flow; if its connection is gone, the message is lost, as it would be for anybody."""
        self.peer.traced(">", message, self)
        try:
            flow.send(message.encode())
        except TransportFailed as error:
            self.peer.losses.append(str(error))

    def _talk(self, theirs: bytes) -> None:
        if self.peer.audio is not None and theirs and not self.over:
            talk(self.peer.audio, theirs, self.sdp)
