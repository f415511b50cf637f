"""A simulated carrier: a trunk that sends SignalWire's INVITE and checks the responses strictly."""

from __future__ import annotations

from typing import cast

from proxy.lab.message_templates import SIGNALWIRE_INVITE, SIGNALWIRE_SDP, filled, sdp
from proxy.lab.peer import Peer, PeerIds, Watch
from proxy.lab.peer_call import Pairs, PeerCall
from proxy.lab.peer_sdp import Audio, directed, moved_to, revised
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, Network
from proxy.transport.tls import ServerTls

CALLER = '"Ann Caller" <sip:+13475550148@sip.signalwire.com>'
DIALED = "+14155551234"
FIRST_CSEQ = 105354320
INNER_VIA = "SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.13;rport=36607;branch="


class Carrier(Peer):
    """The caller's trunk (A leg): a proxy with two interfaces (`r2=on`) before the caller's switch.

    In-dialog requests must carry its two Record-Routes as Routes, in order and byte for byte, and as
    Request-URI its Contact, which is unreachable; responses must bring back its Vias and Record-Routes.
    Violations are collected in `faults`.
    """

    def __init__(
        self,
        network: Network,
        *,
        edge: str,
        name: str = "carrier",
        bind: Address = ("127.0.0.1", 0),
        transport: str = "udp",
        tls: ServerTls | None = None,
        audio: Audio | None = None,
        ids: PeerIds | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`edge`: host and port of the edge for the Request-URI."""
        super().__init__(
            name, network, bind=bind, transport=transport, tls=tls, audio=audio, ids=ids, watch=watch
        )
        self.edge = edge

    def vias(self, branch: str) -> list[str]:
        """Two: the proxy's and, below it, the switch's."""
        outer = f"SIP/2.0/{self.transport.upper()} {self.host}:{self.address[1]};branch={branch};i=9eed1"
        return [outer, INNER_VIA + self.ids.branch()]

    async def invites(
        self,
        *,
        dialed: str = DIALED,
        caller: str = CALLER,
        headers: Pairs = (),
        body: bytes | None = None,
        edge: str | None = None,
        uri: str | None = None,
    ) -> PeerCall:
        """Call the edge; returns when the INVITE is sent.

        `body=b""`: an INVITE without an offer. `uri`: instead of `sip:DIALED@EDGE`.
        """
        offer = moved_to(sdp(SIGNALWIRE_SDP), self.audio) if body is None else body
        invite = self._invite(dialed, caller, offer, edge or self.edge)
        for name, value in headers:
            invite.headers.add(name, value)
        if uri is not None:
            invite.uri = uri
            invite.headers.set("To", f"<{uri}>")
        flow = await self.flow_to(Uri.parse(f"sip:{edge or self.edge};transport={self.transport}"))
        call = PeerCall(
            peer=self,
            call_id=invite.call_id,
            flow=flow,
            local=invite.headers.get("From") or "",
            remote=invite.headers.get("To") or "",
            contact=invite.headers.get("Contact") or "",
            target=invite.uri,
            sdp=offer,
            routes=invite.headers.split("Record-Route"),
            cseq=invite.cseq.number,
        )
        self.calls[call.call_id] = self.call = call
        await call.launch(invite)
        return call

    async def cancels(self) -> Response:
        """Cancel the INVITE; the 487 is queued for `receives`."""
        return await self.current.cancels()

    def acks(self) -> None:
        """Acknowledge the 2xx, if `auto` does not include ACK."""
        self.current.acks()

    def presses(self, key: str) -> None:
        """Press a key at the caller's phone, if it is in a call."""
        if self.audio is not None and self.call is not None and not self.call.over:
            self.audio.press(key)

    async def reinvites(
        self, *, hold: bool | None = None, body: bytes | None = None, headers: Pairs = ()
    ) -> Response:
        """Send a re-INVITE: put the other end on hold, resume, or (None) refresh the session unchanged."""
        call = self.current
        offer = call.sdp if body is None else body
        if hold is not None:
            offer = directed(revised(offer, 1), "sendonly" if hold else "sendrecv")
        refresh = [("Supported", "timer, path, replaces"), ("Session-Expires", "600;refresher=uac")]
        return await call.reinvites(offer, headers=[*refresh, ("Min-SE", "90"), *headers])

    def received(self, flow: Flow, data: bytes) -> None:
        """Receive a message; a response to our INVITE must bring back its Vias and Record-Routes."""
        before = len(self.trace)
        super().received(flow, data)
        message = self.trace[before].message if len(self.trace) > before else None
        call = self.calls.get(message.call_id) if message is not None else None
        if isinstance(message, Response) and call is not None and message.cseq.method == "INVITE":
            self._check(call, message)

    def _check(self, call: PeerCall, response: Response) -> None:
        sent = next((each for each in _invites(call) if each.cseq == response.cseq), None)
        if sent is None:
            return
        if _path(response) != _path(sent):
            self.fault(f"{response.start_line} changed our Vias: {response.headers.split('Via')}")
        owed = sent.headers.split("Record-Route")
        if 100 < response.status < 300 and response.headers.split("Record-Route") != owed:
            self.fault(f"{response.start_line} does not bring back our Record-Routes (RFC 3261 §12.1.1)")

    def _invite(self, dialed: str, caller: str, offer: bytes, edge: str) -> Request:
        data = filled(
            SIGNALWIRE_INVITE,
            offer,
            dialed=dialed,
            edge=edge,
            transport_param=f";transport={self.transport.upper()}",
            route_param="" if self.transport == "udp" else f";transport={self.transport}",
            host=self.host,
            port=self.address[1],
            inner_port=self.address[1] + 1,
            transport=self.transport.upper(),
            branch=self.ids.branch(),
            inner_branch=self.ids.branch(),
            caller=caller,
            tag=self.ids.tag(),
            call_id=self.ids.call_id(),
            cseq=FIRST_CSEQ,
        )
        invite = cast(Request, parse_message(data))
        if not offer:
            for name in ("Content-Type", "Content-Disposition"):
                invite.headers.remove(name)
        return invite


def _invites(call: PeerCall) -> list[Request]:
    """The INVITEs that we sent in this call."""
    sent = [traced.message for traced in call.trace if traced.direction == ">"]
    return [message for message in sent if isinstance(message, Request) and message.method == "INVITE"]


def _path(message: Request | Response) -> list[str | None]:
    """The parts of the Vias that must come back: not `received` and `rport` of the top one (§18.2.1)."""
    return [message.via.sent_by, message.via.branch, *message.headers.split("Via")[1:]]
