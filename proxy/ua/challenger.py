"""Asks for credentials: strangers without a transaction and in few bytes, those who guess ever later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from proxy.sip.digest_server import ALGORITHMS, DigestServer, Verdict
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow, TransportFailed, source_of
from proxy.transport.log_limit import LINES_PER_MINUTE, FewLines
from proxy.ua.authenticated_peers import Meeting
from proxy.ua.gate import Gate
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

MAX_SOURCES = 2000
"""So many sources are remembered, the latest; one that is forgotten begins anew."""
BURST, PER_SECOND = 40, 2.0
"""So many challenged requests of one source are taken in one go, and so many a second from then on."""
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 16.0
"""How late wrong credentials are answered: twice as late each time. A UDP client waits 32 s (Timer F)."""
FORGIVEN_S = 600.0
"""After so long without a failure a source begins anew."""
MAX_WAITING = 100
"""So many late answers are owed at a time; a stranger who fails beyond them hears nothing."""

UNHEEDED = 2
"""Questions without credentials, in a row, after which a source is asked for MD5 first."""

_SHORT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i"}


class _Source:
    """What one source has done lately."""

    __slots__ = ("at", "failures", "left", "question", "spent_at", "unheeded")

    def __init__(self, now: float) -> None:
        self.left, self.spent_at = float(BURST), now
        self.failures, self.at = 0, now
        self.question: tuple[str, int] | None = None
        """What it asked last without credentials: Call-ID and number."""
        self.unheeded = 0
        """How many such questions in a row there were, each of which was challenged."""


class Challenger:
    """Challenges with 401 (RFC 3261 §22.1), on behalf of a door."""

    def __init__(self, core: UserAgentCore, gate: Gate, digest: DigestServer) -> None:
        self.digest = digest
        self._core, self._gate = core, gate
        self._sources: dict[tuple[str, bool], _Source] = {}
        self._lines = FewLines()
        self._waiting = 0

    def allows(self, flow: Flow) -> bool:
        """Whether this source may ask once more; each call counts."""
        source, now = self._source(flow), self._now()
        source.left = min(float(BURST), source.left + (now - source.spent_at) * PER_SECOND)
        source.spent_at = now
        if source.left < 1:
            return False
        source.left -= 1
        return True

    def meet(self, request: Request, flow: Flow, size_bytes: int, *, stale: bool = False) -> Meeting:
        """Challenge a stranger by a response that nothing is remembered of (§8.2.7, §26.3.2.4).

        Over UDP the source may be forged: the answer is never larger than the request, or there is none. It
        is made smaller by compact header names, then by leaving out what not every client understands.
        """
        response = self._fitting(request, flow, None if flow.reliable else size_bytes, stale)
        if response is None:
            return Meeting.IGNORED
        try:
            self._core.emit(flow, response)
        except TransportFailed:
            log.debug("challenge not sent", to=flow.remote)
        return Meeting.SEEN_TO

    def judge(self, request: Request, flow: Flow, username: str, password: str) -> Verdict:
        """What the credentials of a request are worth if they ought to be this user's."""
        if (claimed := self.digest.claimed(request)) is not None:
            source = self._source(flow)
            if source.unheeded < UNHEEDED or claimed.algorithm.upper() == ALGORITHMS[0]:
                source.unheeded = 0  # else it is known by now for what it does
        return self.digest.judge(request, username, password, self._now(), whence=_whence(flow))

    def tag(self, request: Request) -> str:
        """The To tag of our challenge to this INVITE, or to the one that this ACK is for.

        §8.2.7: the same for every copy of the request, though nothing is remembered of it.
        """
        return self.digest.mark(f"{request.call_id} {request.cseq.number} {request.from_tag}")

    def ask(self, transaction: ServerTransaction, *, stale: bool = False) -> None:
        """Challenge one who has been let in; `stale` says that only the nonce was too old."""
        request, flow = transaction.request, transaction.flow
        order = self._order(request, flow)
        transaction.reply(401, [("WWW-Authenticate", self._challenge(flow, each, stale)) for each in order])

    def deny(self, transaction: ServerTransaction, who: str, max_bytes: int | None = None) -> None:
        """The credentials are wrong: it counts, and the answer takes its time.

        `max_bytes`: how long the answer may be, where it goes to a stranger whose address may be forged.
        """
        failures = self.failed(transaction.flow, who)
        if self.exhausted:
            return self.ask(transaction)
        self._waiting += 1
        delay_s = min(FIRST_DELAY_S * 2 ** min(failures - 1, 10), LONGEST_DELAY_S)
        self._core.spawn(self._late(transaction, delay_s, max_bytes))

    @property
    def exhausted(self) -> bool:
        """True while so many late answers are owed that one more is too many."""
        return self._waiting >= MAX_WAITING

    def failed(self, flow: Flow, who: str) -> int:
        """Count wrong credentials; return how many this source has shown lately."""
        source = self._source(flow)
        self._gate.failed(flow)
        now = self._now()
        if now - source.at > FORGIVEN_S:
            source.failures = 0
        source.failures, source.at = source.failures + 1, now
        if source.failures == 1 and self._may_say(now):
            log.warning("wrong password", user=who, source=flow.remote[0], transport=flow.transport)
        return source.failures

    def accept(self, flow: Flow) -> None:
        """The credentials were right: they and their challenge cost an office behind one NAT nothing."""
        source = self._source(flow)
        source.failures, source.left = 0, source.left + 2
        self._gate.proved(flow)

    async def _late(self, transaction: ServerTransaction, delay_s: float, max_bytes: int | None) -> None:
        try:
            await asyncio.sleep(delay_s)
            response = self._fitting(transaction.request, transaction.flow, max_bytes, False)
            transaction.respond(response or self._compact(transaction.request.reply(403)))
        finally:
            self._waiting -= 1

    def _may_say(self, now: float) -> bool:
        """Whether one more wrong password may be told: forged ones come from any number of sources."""
        return self._lines.another(now) <= LINES_PER_MINUTE

    def _fitting(self, request: Request, flow: Flow, max_bytes: int | None, stale: bool) -> Response | None:
        """The most telling challenge of no more than so many bytes."""
        order = self._order(request, flow)
        for algorithms, compact in ((order, False), (order, True), (ALGORITHMS[-1:], True)):
            response = self._response(request, flow, algorithms, compact, stale)
            if max_bytes is None or len(response.encode()) <= max_bytes:
                return response
        return None

    def _order(self, request: Request, flow: Flow) -> tuple[str, ...]:
        """The strongest first (RFC 8760 §2.4), but for one who asks again rather than answer that.

        Much gear that knows MD5 alone looks at the first challenge, and no further.
        """
        source, question = self._source(flow), (request.call_id, request.cseq.number)
        if question != source.question and self.digest.claimed(request) is None:
            source.question, source.unheeded = question, source.unheeded + 1
            if source.unheeded == UNHEEDED and self._may_say(self._now()):
                log.info("challenge not answered, MD5 is first from now on", source=flow.remote[0])
        return ALGORITHMS if source.unheeded < UNHEEDED else ALGORITHMS[::-1]

    def _response(
        self, request: Request, flow: Flow, algorithms: tuple[str, ...], compact: bool, stale: bool
    ) -> Response:
        response = request.reply(401, to_tag=self.tag(request))
        if compact:
            response = self._compact(response)
        for algorithm in algorithms:
            challenge = self._challenge(flow, algorithm, stale)
            response.headers.add("WWW-Authenticate", challenge.replace(", ", ",") if compact else challenge)
        return response

    def _challenge(self, flow: Flow, algorithm: str, stale: bool) -> str:
        return self.digest.challenge(self._now(), algorithm, stale=stale, whence=_whence(flow))

    @staticmethod
    def _compact(response: Response) -> Response:
        response.headers = Headers((_SHORT.get(name, name), value) for name, value in response.headers)
        response.headers.add("l", "0")
        return response

    def _source(self, flow: Flow) -> _Source:
        """A datagram's sender can be forged: what is done in its name costs those nothing who connect."""
        whence = source_of(flow), flow.reliable
        source = self._sources.pop(whence, None) or _Source(self._now())
        self._sources[whence] = source  # the latest stands last
        if len(self._sources) > MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        return source

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _whence(flow: Flow) -> str:
    """Who alone may answer our challenge. The sender of a datagram can be forged, as that of a trunk: whoever
    has a phone's password would have us call numbers there, at our expense.
    """
    return "" if flow.reliable else source_of(flow)
