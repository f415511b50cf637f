"""A simulated phone behind a NAT that registers with the edge, and is called back over the same flow."""

from __future__ import annotations

import asyncio
import itertools

from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import Audio
from proxy.lab.phone import Phone
from proxy.sip.digest import DigestClient
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, Network


class DeskPhone(Phone):
    """A `Phone` without a trunk. Its Contact has a private address that cannot be reached."""

    def __init__(
        self, network: Network, address: str, *, user: str = "alice", password: str = "pw",
        transport: str = "udp", audio: Audio | None = None, edge: str = "sbc.example.com",
    ) -> None:  # fmt: skip
        super().__init__(
            network, name=f"desk-{address}", bind=(address, 5060), transport=transport, audio=audio,
            challenges=False, foreign=(),
        )  # fmt: skip
        self.user, self.secret, self.edge = user, password, edge
        self.behind = f"10.{address.rpartition('.')[2]}.0.7"
        """Its own private address, behind the NAT."""
        self.boot = f"register@{self.behind}"
        """The Call-ID of its registrations."""
        self.instance = ""
        """Contact parameters ``+sip.instance`` and perhaps ``reg-id`` (RFC 5626 §4.1)."""
        self._answers: asyncio.Queue[Response] = asyncio.Queue()
        self._numbers = itertools.count(1)

    @property
    def contact(self) -> str:
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"<sip:{self.user}@{self.behind}:5060{transport}>"

    async def registers(self, *, q: float | None = None, expires: int = 3600) -> Response:
        """Register with the password; returns the final response."""
        preference = "" if q is None else f";q={q:g}"
        contact = f"{self.contact}{preference}{self.instance}"
        request = self._register(contact, expires)
        flow = await self.flow_to(Uri.parse(f"sip:{self.edge};transport={self.transport}"))
        flow.send(request.encode())
        challenge = await self._answers.get()
        credentials = DigestClient(self.user, self.secret).authorize(request, challenge, "cnonce")
        again = self._register(contact, expires)
        for name, value in credentials:
            again.headers.add(name, value)
        flow.send(again.encode())
        return await self._answers.get()

    def received(self, flow: Flow, data: bytes) -> None:
        message = parse_message(data)
        if isinstance(message, Response) and message.cseq.method == "REGISTER":
            self._answers.put_nowait(message)
        else:
            super().received(flow, data)

    def takes(self, flow: Flow, invite: Request) -> PeerCall:
        call = Peer.takes(self, flow, invite)
        call.contact = self.contact
        return call

    def _says(
        self,
        call: PeerCall,
        status: int,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        assert call.invite is not None
        call.responds(call.invite, status, sdp=body, headers=headers)

    def _register(self, contact: str, expires: int) -> Request:
        record = f"<sip:{self.user}@{self.edge}>"
        number = next(self._numbers)
        lines = [
            ("Via", f"SIP/2.0/{self.transport.upper()} {self.behind}:5060;branch={self.ids.branch()};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{record};tag={self.ids.tag()}"),
            ("To", record),
            ("Call-ID", self.boot),
            ("CSeq", f"{number} REGISTER"),
            ("Contact", contact),
            ("Expires", str(expires)),
            ("User-Agent", "a desk phone with a name that is as long as those of desk phones are"),
            ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER, NOTIFY, MESSAGE"),
            ("Supported", "replaces, timer, outbound, path, gruu"),
        ]
        return Request("REGISTER", f"sip:{self.edge}", Headers(lines))
