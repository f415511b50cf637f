"""A phone at an unknown address that registers, and the registrar that it registers with."""

from __future__ import annotations

import itertools
from typing import Any, cast

from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import DigestServer
from proxy.sip.message import Request, Response, parse_message
from proxy.ua.challenger import Challenger
from proxy.ua.registrar import Phone, Registrar
from tests.ua.user_agent import HOST, STRANGER, Peer, UserAgent

ALICE = "<sip:alice@192.168.1.7:5060>"


def a_registrar(ua: UserAgent, *phones: Phone) -> Registrar:
    """A registrar added to the core; it knows only alice unless other phones are given."""
    challenger = Challenger(ua.core, ua, DigestServer(HOST, b"secret"))
    peers = ua.core.authenticated_peers
    registrar = Registrar(ua, challenger, phones or [Phone("alice", "pw")], ua.core.needs, peers.trunk)
    peers.add(registrar)
    return registrar


class RegisteringPhone(Peer):
    """A peer that builds and sends REGISTER requests, and answers digest challenges."""

    def __init__(
        self, ua: UserAgent, *, user: str = "alice", password: str = "pw", address: str = STRANGER,
        transport: str = "udp",
    ) -> None:  # fmt: skip
        super().__init__(ua.wire, address, transport)
        self.user, self.credentials = user, DigestClient(user, password)
        self._numbers = itertools.count(1)
        self._branch = f"z9hG4bK-{address}-"

    def register(
        self, *contacts: str, expires: int | None = 3600, call_id: str = "reg1", cseq: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Request:  # fmt: skip
        number = next(self._numbers)
        lines = [
            f"REGISTER sip:{HOST} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} 192.168.1.7:5060;branch={self._branch}{number};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{HOST}>;tag=from1",
            f"To: <sip:{self.user}@{HOST}>",
            f"Call-ID: {call_id}",
            f"CSeq: {number if cseq is None else cseq} REGISTER",
            *(f"Contact: {contact}" for contact in contacts),
            *([] if expires is None else [f"Expires: {expires}"]),
            *(f"{name}: {value}" for name, value in headers),
            "User-Agent: A phone that says at length what it is and which version it has, 1.2.3",
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REFER, MESSAGE, INFO, UPDATE, PRACK",
            "Content-Length: 0",
        ]
        return cast(Request, parse_message("\r\n".join([*lines, "", ""]).encode()))

    def authorized(self, request: Request, challenge: Response, **fields: Any) -> Request:
        """The same request, with a new CSeq, branch and credentials for the challenge."""
        answer = self.credentials.authorize(request, challenge, "cnonce")
        contacts = request.headers.get_all("Contact")
        kept = [(name, value) for name, value in request.headers if name in ("Supported", "Require")]
        fields.setdefault("call_id", request.call_id)
        expires = request.headers.get("Expires")
        fields.setdefault("expires", None if expires is None else int(expires))
        return self.register(*contacts, headers=(*kept, *answer), **fields)

    async def registers(self, *contacts: str, **fields: Any) -> Response:
        """Register, answering the challenge; returns the final response."""
        cseq = fields.pop("then", None)
        request = self.register(*(contacts or (ALICE,)), **fields)
        await self.says(request)
        challenge = await self.hears(401)
        await self.says(self.authorized(request, challenge, cseq=cseq))
        while True:
            heard = await self._unread.get()
            if isinstance(heard.message, Response):
                return heard.message


async def start_phone(ua: UserAgent, **options: str) -> RegisteringPhone:
    """A started phone, not yet registered."""
    phone = RegisteringPhone(ua, **options)  # type: ignore[arg-type]
    await phone.start()
    return phone
