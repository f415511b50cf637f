"""Trunks that authenticate by digest instead of by address (RFC 3261 §22.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from proxy.sip.digest_server import Verdict
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.authenticated_peers import AuthResult
from proxy.ua.challenger import Challenger
from proxy.ua.gate import Gate
from proxy.ua.guess_limit import Guesser, GuessLimit
from proxy.ua.transactions import ServerTransaction

KNOWN_S = 300.0
"""How long after a valid INVITE its flow may send related requests: a CANCEL, another INVITE."""
MAX_KNOWN = 1000
"""How many flows are remembered, and how many refused INVITEs, whose retransmissions do not count again."""


class DigestTrunks:
    """Authenticates INVITEs of trunks by digest.

    Only an INVITE that names a trunk in its From, Contact or credentials is challenged. A wrong password gets
    no response, so that a guesser waits 32 s for nothing.
    """

    def __init__(self, gate: Gate, challenger: Challenger, accounts: Mapping[str, tuple[str, str]]) -> None:
        """`accounts`: trunk name and password, by digest user name."""
        self._gate, self._challenger = gate, challenger
        self._passwords = {username: password for username, (_, password) in accounts.items()}
        self._trunks = {username: trunk for username, (trunk, _) in accounts.items()}
        self._known: dict[Flow, tuple[float, str]] = {}
        """When each flow last authenticated, and as which trunk."""
        self._counted_failures: dict[str, None] = {}
        self._guess_limit = GuessLimit()
        self._just_authenticated: Request | None = None
        """The request that has just authenticated."""

    def knows(self, flow: Flow) -> bool:
        return self.trunk(flow) is not None

    def trunk(self, flow: Flow) -> str | None:
        at, trunk = self._known.get(flow, (-KNOWN_S, None))
        return trunk if _now() - at < KNOWN_S else None

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        if request.method == "ACK" and request.to_tag == self._challenger.tag(request):
            return AuthResult.HANDLED  # §17.1.1.3: the ACK for our 401
        username = self._claimed_trunk(request) if request.method == "INVITE" else None
        if username is None or not self._challenger.allows(flow):
            return AuthResult.IGNORED
        match self._judge(request, flow, username):
            case Verdict.ACCEPTED:
                self._accept(flow, username)
                self._just_authenticated = request
                return AuthResult.ADMITTED
            case Verdict.REFUSED:
                self._deny(request, flow)
                return AuthResult.HANDLED
            case verdict:
                stale = verdict is Verdict.STALE
                return self._challenger.challenge_stranger(request, flow, size_bytes, stale=stale)

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        known = flow in self._known and not self._gate.admits(flow)
        return known and self._challenger.digest.credentials_of(request) is None

    def handle(self, transaction: ServerTransaction) -> bool:
        """Authenticate again each INVITE on a flow that is known only from an earlier one."""
        request, flow = transaction.request, transaction.flow
        passed, self._just_authenticated = self._just_authenticated is request, None
        if request.method != "INVITE" or passed or flow not in self._known or self._gate.admits(flow):
            return False
        username = self._claimed_trunk(request) or ""
        guesser = self._guesser(flow, username)
        if self._guess_limit.is_reached(guesser, _now()):
            transaction.reply(403)  # unread: the password may be right
            return True
        match self._judge(request, flow, username):
            case Verdict.ACCEPTED:
                self._accept(flow, username)
                return False
            case Verdict.REFUSED:
                self._guess_limit.add(guesser, self._trunks[username], _now())
                self._challenger.deny(transaction, "trunk")
            case verdict:
                self._challenger.challenge(transaction, stale=verdict is Verdict.STALE)
        return True

    def lost(self, flow: Flow) -> None:
        self._known.pop(flow, None)

    def _guesser(self, flow: Flow, username: str) -> list[Guesser]:
        """The trunk that this flow is known as, if the user name is that of another one."""
        _, own = self._known[flow]
        return [("trunk", own)] if self._trunks.get(username, own) != own else []

    def _claimed_trunk(self, request: Request) -> str | None:
        """The user name of the trunk that an INVITE claims to come from."""
        if (claimed := self._challenger.digest.credentials_of(request)) is not None:
            return claimed.username if claimed.username in self._passwords else None
        with suppress(ParseError):
            contact = request.contact
            for user in (request.sender.uri.user, contact and contact.uri.user):
                if user in self._passwords:
                    return user
        return None

    def _judge(self, request: Request, flow: Flow, username: str) -> Verdict:
        if username not in self._passwords:
            return Verdict.MISSING
        return self._challenger.judge(request, flow, username, self._passwords[username])

    def _accept(self, flow: Flow, username: str) -> None:
        self._known = {
            each: known for each, known in self._known.items() if self.knows(each) and each != flow
        }
        self._known[flow] = _now(), self._trunks[username]
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._challenger.accept(flow)

    def _deny(self, request: Request, flow: Flow) -> None:
        """Count a wrong password, once for all retransmissions."""
        mark = f"{flow.remote[0]} {request.call_id} {request.cseq}"
        if mark in self._counted_failures:
            return
        self._counted_failures[mark] = None
        if len(self._counted_failures) > MAX_KNOWN:
            del self._counted_failures[next(iter(self._counted_failures))]
        self._challenger.failed(flow, "trunk")


def _now() -> float:
    return asyncio.get_running_loop().time()
