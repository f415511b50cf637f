"""Checks the edge's SIP behaviour by the rules of RFC 3261 that hold whatever the order of events.

checker = RuleChecker(edge.core)
...
assert checker.violations() == []
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.core import UserAgentCore

PATIENCE_S = 32.0
"""64*T1: the lifetime of a transaction."""
OUTSIDE_OF_ORDER = ("ACK", "CANCEL")

Key = tuple[str, str]
"""A transaction: branch and method."""
DialogKey = tuple[str, str, str]
"""A dialog: Call-ID, our tag, the peer's tag."""


@dataclass(slots=True)
class _Invite:
    """An INVITE of ours, by its branch."""

    provisional: bool = False
    final: int | None = None
    until: float | None = None
    """When its transaction ends."""
    acknowledged: bool = False


@dataclass(slots=True)
class _Received:
    """A request that we received."""

    request: Request
    flow: Flow
    owed: bool
    """Whether it is owed an answer: outside any dialog, or in one of ours. In an unknown dialog it is not."""
    finals: set[int] = field(default_factory=set)
    tried: bool = False


class RuleChecker:
    """Traces one core from its start, and collects violations."""

    def __init__(self, core: UserAgentCore) -> None:
        self._violations: list[str] = []
        self._sent: set[Key] = set()
        self._invites: dict[str, _Invite] = {}
        self._received: dict[tuple[str, str, str], _Received] = {}
        self._cseqs: dict[DialogKey, int] = {}
        self._first_cseqs: dict[tuple[str, str], int] = defaultdict(int)
        self._ended_dialogs: set[DialogKey] = set()
        self._established: dict[DialogKey, Flow] = {}
        self._acks_owed: dict[tuple[DialogKey, int], bool] = {}
        self._known_dialogs: set[DialogKey] = set()
        self.connection_cut = False
        """Set by a test that broke a connection: messages that could not be sent are not missed then."""
        core.traces.append(self._note)

    def violations(self) -> list[str]:
        """All violations, once everything is over."""
        return [*self._violations, *self._unanswered(), *self._unfinished()]

    def _note(self, direction: str, flow: Flow, message: Request | Response) -> None:
        match direction, message:
            case "<", Request():
                self._request_received(flow, message)
            case "<", Response():
                self._response_received(flow, message)
            case ">", Request():
                self._request_sent(flow, message)
            case ">", Response():
                self._response_sent(flow, message)

    # Received messages.

    def _request_received(self, flow: Flow, request: Request) -> None:
        if request.method == "ACK":
            return
        key = (request.via.branch or "", request.via.sent_by, request.method)
        dialog = (request.call_id, request.to_tag or "", request.from_tag or "")
        owed = not request.to_tag or dialog in self._known_dialogs
        self._received.setdefault(key, _Received(request, flow, owed))

    def _response_received(self, flow: Flow, response: Response) -> None:
        if response.cseq.method != "INVITE":
            return
        dialog = (response.call_id, response.from_tag or "", response.to_tag or "")
        invite = self._invites.get(response.via.branch or "")
        if invite is None or (invite.until is not None and _now() >= invite.until):
            return
        early = 100 < response.status < 200 and invite.final is None
        if early or (response.status // 100 == 2 and (invite.final or 200) < 300):
            self._known_dialogs.add(dialog)
        if response.status < 200:
            if not invite.provisional and invite.final is None:
                invite.provisional, invite.until = True, None
        elif invite.final is None or (invite.final < 300 and response.status < 300):
            if invite.final is None:
                invite.final, invite.until = response.status, _now() + PATIENCE_S
            if response.status < 300:
                self._acks_owed[dialog, response.cseq.number] = True
                self._established[dialog] = flow

    # Sent messages.

    def _request_sent(self, flow: Flow, request: Request) -> None:
        branch, method = request.via.branch or "", request.method
        dialog = (request.call_id, request.from_tag or "", request.to_tag or "")
        if method == "ACK":
            self._acks_owed[dialog, request.cseq.number] = False
            if branch in self._invites:
                self._invites[branch].acknowledged = True
            return
        if (branch, method) in self._sent:
            return
        self._sent.add((branch, method))
        if method == "CANCEL":
            return self._cancel_sent(branch)
        if method == "INVITE":
            self._invites[branch] = _Invite(until=_now() + PATIENCE_S)  # timer B
        self._check_order(request, dialog)
        if method == "BYE":
            self._ended_dialogs.add(dialog)

    def _cancel_sent(self, branch: str) -> None:
        invite = self._invites[branch]
        if not invite.provisional:
            self._violations.append("CANCEL before a provisional response (§9.1)")
        if invite.final is not None:
            self._violations.append("CANCEL after the final response (§9.1)")
        invite.until = _now() + PATIENCE_S

    def _check_order(self, request: Request, dialog: DialogKey) -> None:
        number = request.cseq.number
        if not request.to_tag:
            self._first_cseqs[dialog[:2]] = number
            return
        if dialog in self._ended_dialogs and request.method != "BYE":
            self._violations.append(f"{request.method} after BYE (§15)")
        if number <= self._cseqs.get(dialog, self._first_cseqs[dialog[:2]]):
            self._violations.append(f"{request.method}: CSeq {number} again (§12.2.1.1)")
        self._cseqs[dialog] = number

    def _response_sent(self, flow: Flow, response: Response) -> None:
        key = (response.via.branch or "", response.via.sent_by, response.cseq.method)
        received = self._received.get(key)
        if received is None:
            return self._violations.append(f"{response.start_line} to nothing")
        if response.status < 200:
            received.tried = True
            if received.finals:
                self._violations.append(f"{response.start_line} after {received.finals} (§17.2)")
        else:
            received.finals.add(response.status)
            if response.cseq.method == "BYE" and response.status == 200:
                self._ended_dialogs.add((response.call_id, response.to_tag or "", response.from_tag or ""))
        if response.cseq.method != "INVITE" and (response.status == 408 or 100 < response.status < 200):
            self._violations.append(f"{response.start_line} to a {response.cseq.method} (RFC 4320)")
        if response.cseq.method == "INVITE" and response.status // 100 == 2:
            dialog = (response.call_id, response.to_tag or "", response.from_tag or "")
            self._established[dialog] = flow
        if response.cseq.method == "INVITE" and 100 < response.status < 300:
            self._known_dialogs.add((response.call_id, response.to_tag or "", response.from_tag or ""))

    # What is missing at the end.

    def _unanswered(self) -> list[str]:
        violations = []
        for received in self._received.values():
            request, finals = received.request, received.finals
            if len(finals) > 1:
                violations.append(f"{request.method} was answered {sorted(finals)} (§17.2)")
            late = request.method == "REFER" and received.tried
            lost = received.flow.reliable and (self.connection_cut or received.flow.closed)
            if not finals and not late and not lost and received.owed:
                violations.append(f"{request.method} {request.cseq} was never answered")
        return violations

    def _unfinished(self) -> list[str]:
        if self.connection_cut:
            return []
        acks = [f"no ACK for {key} (§13.2.2.4)" for key, owed in self._acks_owed.items() if owed]
        refused = [
            f"no ACK for {invite.final} (§17.1.1.3)"
            for invite in self._invites.values()
            if invite.final is not None and invite.final >= 300 and not invite.acknowledged
        ]
        byes = [f"no BYE in {dialog}" for dialog in self._established if dialog not in self._ended_dialogs]
        return [*acks, *refused, *byes]


def _now() -> float:
    return asyncio.get_running_loop().time()
