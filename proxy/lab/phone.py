"""A simulated phone behind a trunk that authenticates callers."""

from __future__ import annotations

import asyncio
import hashlib
import re

from proxy.lab.keys import answering
from proxy.lab.message_templates import CARRIER_MARKS, PHONE_SDP, sdp
from proxy.lab.peer import Peer, PeerIds, Watch
from proxy.lab.peer_call import WITHIN_S, PeerCall
from proxy.lab.peer_sdp import Audio, moved_to
from proxy.sip.message import Request
from proxy.transport.flow import Address, Flow, Network
from proxy.transport.tls import ServerTls

LISTENS_S = 1.5
"""How long it listens before it accepts the call."""
CONTACT = "<sip:phone@192.0.2.77:5062;line=1>"
INNER_ROUTE = "<sip:192.0.2.70:5060;r2=on;lr>"

_PARAM = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


class Phone(Peer):
    """The user's phone (C leg).

    Its trunk challenges with 407 (MD5, qop=auth), verifies the response independently, and stays in the path
    with two Record-Routes, which requests must follow in reverse order.
    """

    def __init__(
        self,
        network: Network,
        *,
        username: str = "screendoor",
        password: str = "secret",
        realm: str = "trunk.example.com",
        challenges: bool = True,
        name: str = "phone",
        bind: Address = ("127.0.0.1", 0),
        transport: str = "udp",
        tls: ServerTls | None = None,
        public_host: str | None = None,
        audio: Audio | None = None,
        ids: PeerIds | None = None,
        watch: Watch | None = None,
        foreign: tuple[str, ...] = CARRIER_MARKS,
        takes_calls: bool = False,
    ) -> None:
        """`foreign`: strings that no INVITE may contain. `takes_calls`: it presses 1 after answering."""
        super().__init__(
            name, network, bind=bind, transport=transport, tls=tls, public_host=public_host,
            audio=audio, ids=ids, watch=watch,
        )  # fmt: skip
        self.username, self.password, self.realm, self.challenges = username, password, realm, challenges
        self.foreign, self.takes_calls = foreign, takes_calls
        self._nonces: dict[str, int] = {}

    async def rings(self, *, within_s: float = WITHIN_S) -> PeerCall:
        """Wait for the call and send 180."""
        call = await self._ringing(within_s)
        self._says(call, 180)
        return call

    async def answers(
        self, *, headers: tuple[tuple[str, str], ...] = (), within_s: float = WITHIN_S
    ) -> PeerCall:
        """Answer the call that is ringing, or the next one."""
        call = await self._ringing(within_s)
        assert call.invite is not None
        call.sdp = answering(moved_to(sdp(PHONE_SDP), self.audio), call.invite.body)
        self._says(call, 200, call.sdp, headers)
        if self.takes_calls:
            asyncio.get_running_loop().call_later(LISTENS_S, self.presses, "1")
        return call

    def presses(self, key: str) -> None:
        """Press a key, if it is in a call."""
        if self.audio is not None and self.call is not None and not self.call.over:
            self.audio.press(key)

    async def rejects(
        self, status: int, *, headers: tuple[tuple[str, str], ...] = (), within_s: float = WITHIN_S
    ) -> PeerCall:
        """Reject the call that is ringing, or the next one."""
        call = await self._ringing(within_s)
        assert call.invite is not None
        call.responds(call.invite, status, headers=headers)
        return call

    def admits(self, flow: Flow, invite: Request) -> bool:
        """Require credentials with a nonce of ours and a nonce count above the last (RFC 7616 §3.4)."""
        if not self.challenges:
            return True
        given = invite.headers.get("Proxy-Authorization")
        if given is None:
            self._nonces[nonce := self.ids.tag()] = 0
            asked = f'Digest realm="{self.realm}", nonce="{nonce}", algorithm=MD5, qop="auth"'
            self._refuses(flow, invite, 407, ("Proxy-Authenticate", asked))
            return False
        if fault := self._credentials_fault(given, invite.method):
            self.fault(f"credentials: {fault}")
            self._refuses(flow, invite, 403)
            return False
        return True

    def takes(self, flow: Flow, invite: Request) -> PeerCall:
        """Make the call; strings of the caller's carrier in the INVITE are a fault."""
        text = invite.encode().decode(errors="replace")
        for word in self.foreign:
            if word in text:
                self.fault(f"INVITE brings {word!r} of another leg")
        call = super().takes(flow, invite)
        call.contact = CONTACT
        call.routes = [self._route, INNER_ROUTE]
        return call

    @property
    def _route(self) -> str:
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"<sip:{self.host}:{self.address[1]}{transport};r2=on;lr>"

    async def _ringing(self, within_s: float) -> PeerCall:
        """The call in progress if it is unanswered, else the next one."""
        if self.call is None or self.call.over or self.call.answered:
            return await self.invited(within_s=within_s)
        return self.call

    def _says(
        self,
        call: PeerCall,
        status: int,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        assert call.invite is not None
        # The UAC reverses them (RFC 3261 §12.1.2): the interface facing it is last here, first in its Routes.
        record_routes = [("Record-Route", INNER_ROUTE), ("Record-Route", self._route)]
        call.responds(call.invite, status, sdp=body, headers=[*record_routes, *headers])

    def _refuses(self, flow: Flow, invite: Request, status: int, *headers: tuple[str, str]) -> None:
        response = invite.reply(status, to_tag=self.ids.tag())
        self.says(flow, invite, response, *headers)

    def _credentials_fault(self, given: str, method: str) -> str | None:
        """Verify credentials by RFC 2617 §3.2.2, independently of the stack under test; returns the fault."""
        said = {name.lower(): quoted or bare for name, quoted, bare in _PARAM.findall(given)}
        count = int(said.get("nc", "0"), 16)
        if said.get("nonce") not in self._nonces:
            return "a nonce that was never given"
        if count <= self._nonces[said["nonce"]]:
            return f"nonce count {count} was used before"
        self._nonces[said["nonce"]] = count
        if (said.get("username"), said.get("realm"), said.get("qop")) != (self.username, self.realm, "auth"):
            return f"username, realm or qop: {given}"
        ha1 = _md5(f"{self.username}:{self.realm}:{self.password}")
        ha2 = _md5(f"{method}:{said.get('uri', '')}")
        right = _md5(":".join([ha1, said["nonce"], said["nc"], said.get("cnonce", ""), "auth", ha2]))
        return None if said.get("response") == right else "the response is wrong"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
