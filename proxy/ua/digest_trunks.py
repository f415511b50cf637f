"""Trunks that are known by a password instead of their address (RFC 3261 §22.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from proxy.sip.digest_server import Verdict
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.authenticated_peers import Meeting
from proxy.ua.challenger import Challenger
from proxy.ua.gate import Gate
from proxy.ua.transactions import ServerTransaction

KNOWN_S = 300.0
"""How long after a right INVITE its flow may send what belongs to it: a CANCEL, one more INVITE."""
MAX_KNOWN = 1000
"""Flows that are known at a time, the latest; and refused INVITEs, whose copies are not counted again."""


class DigestTrunks:
    """A door for INVITEs. Only one that names a trunk is worth a challenge: by its From, its Contact, or the
    credentials that it brings. A wrong password is met with silence, so that a caller waits 32 s for nothing.
    """

    def __init__(self, gate: Gate, challenger: Challenger, accounts: Mapping[str, tuple[str, str]]) -> None:
        """`accounts`: the trunk and its password, by its user name."""
        self._gate, self._challenger = gate, challenger
        self._passwords = {username: password for username, (_, password) in accounts.items()}
        self._trunks = {username: trunk for username, (trunk, _) in accounts.items()}
        self._known: dict[Flow, tuple[float, str]] = {}
        """When each flow has proved itself last, and as which trunk."""
        self._denied: dict[str, None] = {}
        self._passed: Request | None = None
        """The request that has just proved itself."""

    def knows(self, flow: Flow) -> bool:
        return self.trunk(flow) is not None

    def trunk(self, flow: Flow) -> str | None:
        at, trunk = self._known.get(flow, (-KNOWN_S, None))
        return trunk if _now() - at < KNOWN_S else None

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        if request.method == "ACK" and request.to_tag == self._challenger.tag(request):
            return Meeting.SEEN_TO  # §17.1.1.3: the end of a challenge of ours
        username = self._named(request) if request.method == "INVITE" else None
        if username is None or not self._challenger.allows(flow):
            return Meeting.IGNORED
        match self._judge(request, flow, username):
            case Verdict.ACCEPTED:
                self._accept(flow, username)
                self._passed = request
                return Meeting.LET_IN
            case Verdict.REFUSED:
                self._deny(request, flow)
                return Meeting.SEEN_TO
            case verdict:
                stale = verdict is Verdict.STALE
                return self._challenger.meet(request, flow, size_bytes, stale=stale)

    def unproven(self, request: Request, flow: Flow) -> bool:
        known = flow in self._known and not self._gate.admits(flow)
        return known and self._challenger.digest.claimed(request) is None

    def takes(self, transaction: ServerTransaction) -> bool:
        """Every INVITE of a flow that is known only by an earlier one proves itself again."""
        request, flow = transaction.request, transaction.flow
        passed, self._passed = self._passed is request, None
        if request.method != "INVITE" or passed or flow not in self._known or self._gate.admits(flow):
            return False
        username = self._named(request) or ""
        match self._judge(request, flow, username):
            case Verdict.ACCEPTED:
                self._accept(flow, username)
                return False
            case Verdict.REFUSED:
                self._challenger.deny(transaction, "trunk")
            case verdict:
                self._challenger.ask(transaction, stale=verdict is Verdict.STALE)
        return True

    def lost(self, flow: Flow) -> None:
        self._known.pop(flow, None)

    def _named(self, request: Request) -> str | None:
        """The user name of the trunk that an INVITE claims to come from."""
        if (claimed := self._challenger.digest.claimed(request)) is not None:
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
        """Count a wrong password, but its retransmissions once."""
        mark = f"{flow.remote[0]} {request.call_id} {request.cseq}"
        if mark in self._denied:
            return
        self._denied[mark] = None
        if len(self._denied) > MAX_KNOWN:
            del self._denied[next(iter(self._denied))]
        self._challenger.failed(flow, "trunk")


def _now() -> float:
    return asyncio.get_running_loop().time()
