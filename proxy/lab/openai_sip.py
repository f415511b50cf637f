"""The SIP side of a simulated OpenAI: terse responses, a Contact without transport, and REFER."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from proxy.lab.keys import answering, protected
from proxy.lab.message_templates import CARRIER_MARKS, OPENAI_OK, OPENAI_SDP, filled, sdp
from proxy.lab.peer import AUTO, Peer, PeerIds, Watch
from proxy.lab.peer_call import WITHIN_S, PeerCall
from proxy.lab.peer_sdp import Audio, moved_to
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, Network
from proxy.transport.tls import ServerTls

FOREIGN_HEADERS = ("Record-Route", "Allow-Events")
"""Headers of the caller's carrier that must not reach the agent."""


class AgentCall:
    """One INVITE as driven by OpenAI's API: the actions behind accept, reject, refer and hangup."""

    def __init__(self, openai: OpenAiSip, call: PeerCall) -> None:
        self.openai, self.call = openai, call

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The INVITE's headers, with order and repeats kept, as listed in the webhook."""
        assert self.call.invite is not None
        return list(self.call.invite.headers)

    @property
    def security(self) -> str:
        """`srtp` if the offer has keys, else `rtp`, as stated in the webhook."""
        assert self.call.invite is not None
        return "srtp" if protected(self.call.invite.body) else "rtp"

    def on_over(self, told: Callable[[], None]) -> None:
        """Register a callback for the end of the call, by whichever side."""
        self.call.on_over.append(told)

    async def answer(self) -> None:
        """Answer the INVITE with 200."""
        if not self.call.over and not self.call.answered:
            self.openai.answer(self.call)

    async def reject(self, status: int) -> None:
        """Answer the INVITE with a failure response."""
        if not self.call.answered and self.call.invite is not None:
            self.call.responds(self.call.invite, status)

    async def refer(self, target_uri: str) -> None:
        """Send a REFER; raises ReferFailed, Unexpected or TransportFailed if it is not accepted."""
        response = await self.openai.refer(self.call, target_uri)
        if response.status >= 300:
            raise ReferFailed(f"REFER was answered {response.status} {response.reason}")

    async def hangup(self) -> None:
        """Send BYE."""
        if not self.call.over:
            await self.call.hangs_up()


class ReferFailed(Exception):
    """The REFER was refused by the peer."""


class OpenAiSip(Peer):
    """The agent (B leg). It listens on TLS; violations by an INVITE are collected in `faults`."""

    def __init__(
        self,
        network: Network,
        *,
        name: str = "openai",
        bind: Address = ("127.0.0.1", 0),
        transport: str = "tls",
        tls: ServerTls | None = None,
        public_host: str | None = None,
        audio: Audio | None = None,
        ids: PeerIds | None = None,
        watch: Watch | None = None,
        content_type: bool = True,
        refers_on_new_connection: bool = False,
        on_invite: Callable[[AgentCall], None] | None = None,
        foreign: tuple[str, ...] = CARRIER_MARKS,
        auto: frozenset[str] = AUTO,
    ) -> None:
        """`content_type=False` omits Content-Type from the 200, as in September 2025.

        `on_invite` gets every call that comes in, once it rings; without it the script answers. `foreign`:
        strings that no INVITE may contain.
        """
        super().__init__(
            name, network, bind=bind, transport=transport, tls=tls, public_host=public_host,
            audio=audio, ids=ids, watch=watch, auto=auto,
        )  # fmt: skip
        self.content_type, self.foreign = content_type, foreign
        self.refers_on_new_connection = refers_on_new_connection
        self._on_invite = on_invite

    async def answers(self, *, within_s: float = WITHIN_S) -> PeerCall:
        """Answer the call that is waiting, or the next one."""
        call = await self._waiting(within_s)
        self.answer(call)
        return call

    async def rejects(self, status: int, *, within_s: float = WITHIN_S) -> PeerCall:
        """Reject the call that is waiting, or the next one."""
        call = await self._waiting(within_s)
        assert call.invite is not None
        call.responds(call.invite, status)
        return call

    async def refers(
        self,
        target_uri: str,
        *,
        new_connection: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send REFER and return its response; NOTIFYs are answered by `auto` and queued for `receives`."""
        return await self.refer(self.current, target_uri, new_connection=new_connection, headers=headers)

    def answer(self, call: PeerCall) -> None:
        """Send the 200, with exactly the headers of the real one."""
        invite = call.invite
        assert invite is not None
        call.sdp = answering(moved_to(sdp(OPENAI_SDP), self.audio), invite.body)
        data = filled(
            OPENAI_OK,
            call.sdp,
            via=", ".join(invite.headers.split("Via")),
            from_=invite.headers.get("From"),
            to=call.local,
            call_id=call.call_id,
            cseq=invite.headers.get("CSeq"),
            contact=f"{self.host}:{self.address[1]}",
        )
        response = cast(Response, parse_message(data))
        if not self.content_type:
            response.headers.remove("Content-Type")
        for value in reversed(invite.headers.split("Record-Route")):
            response.headers.prepend("Record-Route", value)
        call.replies(invite, response)

    async def refer(
        self,
        call: PeerCall,
        target_uri: str,
        *,
        new_connection: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send REFER to the Contact of this call, on a new connection if asked to."""
        fresh = self.refers_on_new_connection if new_connection is None else new_connection
        if fresh:
            call.flow = await self.flow_to(Uri.parse(call.target))
        return await call.requests("REFER", headers=[("Refer-To", f"<{target_uri}>"), *headers])

    def takes(self, flow: Flow, invite: Request) -> PeerCall:
        """Make the call; checks the INVITE, sends 100, then rings or informs the API."""
        self._check(flow, invite)
        call = super().takes(flow, invite)
        call.contact = f"<sip:OAI@{self.host}:{self.address[1]}>"
        call.responds(invite, 100)
        if self._on_invite is not None:
            call.responds(invite, 180)
            self._on_invite(AgentCall(self, call))
        return call

    async def _waiting(self, within_s: float) -> PeerCall:
        if self.call is None or self.call.over or self.call.answered:
            return await self.invited(within_s=within_s)
        return self.call

    def _check(self, flow: Flow, invite: Request) -> None:
        """Check the rules for an INVITE to OpenAI, each learnt from a failed call."""
        if len(vias := invite.headers.split("Via")) != 1:
            self.fault(f"INVITE has {len(vias)} Vias")
        contacts = invite.headers.split("Contact")
        if len(contacts) != 1:
            self.fault(f"INVITE has {len(contacts)} Contacts")
        elif fault := self._contact_fault(contacts[0]):
            self.fault(f"Contact {contacts[0]} {fault}")
        for header in FOREIGN_HEADERS:
            if header in invite.headers:
                self.fault(f"INVITE has a {header}")
        text = invite.encode().decode(errors="replace")
        for word in self.foreign:
            if word in text:
                self.fault(f"INVITE brings {word!r} of another leg")
        if flow.transport != self.transport:
            self.fault(f"INVITE came over {flow.transport}")

    def _contact_fault(self, contact: str) -> str | None:
        """A duplicate transport gets 403 from OpenAI (2025-12); without one, UDP would be used."""
        named = contact.lower().count("transport=")
        if self.transport == "udp" and named == 0:
            return None
        if named != 1:
            return f"names {named} transports"
        if f";transport={self.transport}" not in contact.lower():
            return f"is not for {self.transport}"
        return None
