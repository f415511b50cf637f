"""Checks the edge's SIP behaviour by the rules of RFC 3261 that hold whatever the order of events.

conduct = Conduct(edge.core)
...
assert conduct.wrongs() == []
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
Talk = tuple[str, str, str]
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
class _Asked:
    """A request that we received."""

    request: Request
    flow: Flow
    ours: bool
    """Whether it is owed an answer: outside any dialog, or in one of ours. In an unknown dialog it is not."""
    finals: set[int] = field(default_factory=set)
    tried: bool = False


class Conduct:
    """Traces one core from its start, and collects violations."""

    def __init__(self, core: UserAgentCore) -> None:
        self._wrongs: list[str] = []
        self._sent: set[Key] = set()
        self._invites: dict[str, _Invite] = {}
        self._asked: dict[tuple[str, str, str], _Asked] = {}
        self._numbers: dict[Talk, int] = {}
        self._first: dict[tuple[str, str], int] = defaultdict(int)
        self._ended: set[Talk] = set()
        self._standing: dict[Talk, Flow] = {}
        self._acks_owed: dict[tuple[Talk, int], bool] = {}
        self._known: set[Talk] = set()
        self.cut = False
        """Set by a test that broke a connection: messages that could not be sent are not missed then."""
        core.traces.append(self._note)

    def wrongs(self) -> list[str]:
        """All violations, once everything is over."""
        return [*self._wrongs, *self._unanswered(), *self._unfinished()]

    def _note(self, direction: str, flow: Flow, message: Request | Response) -> None:
        match direction, message:
            case "<", Request():
                self._asks(flow, message)
            case "<", Response():
                self._answers(flow, message)
            case ">", Request():
                self._we_ask(flow, message)
            case ">", Response():
                self._we_answer(flow, message)

    # Received messages.

    def _asks(self, flow: Flow, request: Request) -> None:
        if request.method == "ACK":
            return
        key = (request.via.branch or "", request.via.sent_by, request.method)
        talk = (request.call_id, request.to_tag or "", request.from_tag or "")
        ours = not request.to_tag or talk in self._known
        self._asked.setdefault(key, _Asked(request, flow, ours))

    def _answers(self, flow: Flow, response: Response) -> None:
        if response.cseq.method != "INVITE":
            return
        talk = (response.call_id, response.from_tag or "", response.to_tag or "")
        invite = self._invites.get(response.via.branch or "")
        if invite is None or (invite.until is not None and _now() >= invite.until):
            return
        early = 100 < response.status < 200 and invite.final is None
        if early or (response.status // 100 == 2 and (invite.final or 200) < 300):
            self._known.add(talk)
        if response.status < 200:
            if not invite.provisional and invite.final is None:
                invite.provisional, invite.until = True, None
        elif invite.final is None or (invite.final < 300 and response.status < 300):
            if invite.final is None:
                invite.final, invite.until = response.status, _now() + PATIENCE_S
            if response.status < 300:
                self._acks_owed[talk, response.cseq.number] = True
                self._standing[talk] = flow

    # Sent messages.

    def _we_ask(self, flow: Flow, request: Request) -> None:
        branch, method = request.via.branch or "", request.method
        talk = (request.call_id, request.from_tag or "", request.to_tag or "")
        if method == "ACK":
            self._acks_owed[talk, request.cseq.number] = False
            if branch in self._invites:
                self._invites[branch].acknowledged = True
            return
        if (branch, method) in self._sent:
            return
        self._sent.add((branch, method))
        if method == "CANCEL":
            return self._we_cancel(branch)
        if method == "INVITE":
            self._invites[branch] = _Invite(until=_now() + PATIENCE_S)  # timer B
        self._in_order(request, talk)
        if method == "BYE":
            self._ended.add(talk)

    def _we_cancel(self, branch: str) -> None:
        invite = self._invites[branch]
        if not invite.provisional:
            self._wrongs.append("CANCEL before a provisional response (§9.1)")
        if invite.final is not None:
            self._wrongs.append("CANCEL after the final response (§9.1)")
        invite.until = _now() + PATIENCE_S

    def _in_order(self, request: Request, talk: Talk) -> None:
        number = request.cseq.number
        if not request.to_tag:
            self._first[talk[:2]] = number
            return
        if talk in self._ended and request.method != "BYE":
            self._wrongs.append(f"{request.method} after BYE (§15)")
        if number <= self._numbers.get(talk, self._first[talk[:2]]):
            self._wrongs.append(f"{request.method}: CSeq {number} again (§12.2.1.1)")
        self._numbers[talk] = number

    def _we_answer(self, flow: Flow, response: Response) -> None:
        key = (response.via.branch or "", response.via.sent_by, response.cseq.method)
        asked = self._asked.get(key)
        if asked is None:
            return self._wrongs.append(f"{response.start_line} to nothing")
        if response.status < 200:
            asked.tried = True
            if asked.finals:
                self._wrongs.append(f"{response.start_line} after {asked.finals} (§17.2)")
        else:
            asked.finals.add(response.status)
            if response.cseq.method == "BYE" and response.status == 200:
                self._ended.add((response.call_id, response.to_tag or "", response.from_tag or ""))
        if response.cseq.method != "INVITE" and (response.status == 408 or 100 < response.status < 200):
            self._wrongs.append(f"{response.start_line} to a {response.cseq.method} (RFC 4320)")
        if response.cseq.method == "INVITE" and response.status // 100 == 2:
            talk = (response.call_id, response.to_tag or "", response.from_tag or "")
            self._standing[talk] = flow
        if response.cseq.method == "INVITE" and 100 < response.status < 300:
            self._known.add((response.call_id, response.to_tag or "", response.from_tag or ""))

    # What is missing at the end.

    def _unanswered(self) -> list[str]:
        wrongs = []
        for asked in self._asked.values():
            request, finals = asked.request, asked.finals
            if len(finals) > 1:
                wrongs.append(f"{request.method} was answered {sorted(finals)} (§17.2)")
            late = request.method == "REFER" and asked.tried
            lost = asked.flow.reliable and (self.cut or asked.flow.closed)
            if not finals and not late and not lost and asked.ours:
                wrongs.append(f"{request.method} {request.cseq} was never answered")
        return wrongs

    def _unfinished(self) -> list[str]:
        if self.cut:
            return []
        acks = [f"no ACK for {key} (§13.2.2.4)" for key, owed in self._acks_owed.items() if owed]
        refused = [
            f"no ACK for {invite.final} (§17.1.1.3)"
            for invite in self._invites.values()
            if invite.final is not None and invite.final >= 300 and not invite.acknowledged
        ]
        byes = [f"no BYE in {talk}" for talk in self._standing if talk not in self._ended]
        return [*acks, *refused, *byes]


def _now() -> float:
    return asyncio.get_running_loop().time()
