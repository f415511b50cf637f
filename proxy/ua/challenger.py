"""Digest challenges (RFC 3261 §22): stateless and small towards strangers, slowed down against guessing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from proxy.sip.digest_server import ALGORITHMS, DigestServer, Verdict
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow, TransportFailed, source_of
from proxy.transport.log_limit import LINES_PER_MINUTE, LogLimit
from proxy.ua.authenticated_peers import AuthResult
from proxy.ua.gate import Gate
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

MAX_SOURCES = 2000
"""How many sources are remembered; the least recently seen is dropped."""
BURST, PER_SECOND = 40, 2.0
"""Rate limit of challenged requests for each source: the burst, and the sustained rate per second."""
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 16.0
"""Delay of the response to wrong credentials, doubled each time. A UDP client waits 32 s (Timer F)."""
FORGIVEN_S = 600.0
"""After this long without a failure a source starts over."""
MAX_WAITING = 100
"""Delayed responses pending at a time; beyond that, a stranger's wrong credentials get no response."""

MD5_FIRST_AFTER = 2
"""After this many requests in a row without credentials, a source is offered MD5 first."""

_SHORT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i"}


class _Source:
    """Recent activity of one source."""

    __slots__ = ("failed_at", "failures", "last_asked", "refilled_at", "tokens", "unanswered")

    def __init__(self, now: float) -> None:
        self.tokens, self.refilled_at = float(BURST), now
        self.failures, self.failed_at = 0, now
        self.last_asked: tuple[str, int] | None = None
        """Call-ID and CSeq number of its last request without credentials."""
        self.unanswered = 0
        """How many such requests in a row ignored a challenge."""


class Challenger:
    """Challenges with 401 (RFC 3261 §22.1), for the registrar and for digest trunks."""

    def __init__(self, core: UserAgentCore, gate: Gate, digest: DigestServer) -> None:
        self.digest = digest
        self._core, self._gate = core, gate
        self._sources: dict[tuple[str, bool], _Source] = {}
        self._log_limit = LogLimit()
        self._waiting = 0

    def allows(self, flow: Flow) -> bool:
        """Whether this source may send one more request; every call counts as one."""
        source, now = self._source(flow), self._now()
        source.tokens = min(float(BURST), source.tokens + (now - source.refilled_at) * PER_SECOND)
        source.refilled_at = now
        if source.tokens < 1:
            return False
        source.tokens -= 1
        return True

    def challenge_stranger(
        self, request: Request, flow: Flow, size_bytes: int, *, stale: bool = False
    ) -> AuthResult:
        """Challenge a stranger statelessly (§8.2.7, §26.3.2.4).

        Over UDP the source may be forged, so the response is never larger than the request; if it cannot be
        made to fit, none is sent. It is shrunk by compact header names, then by dropping algorithms some
        clients lack.
        """
        response = self._fit_challenge(request, flow, None if flow.reliable else size_bytes, stale)
        if response is None:
            return AuthResult.IGNORED
        try:
            self._core.emit(flow, response)
        except TransportFailed:
            log.debug("challenge not sent", to=flow.remote)
        return AuthResult.HANDLED

    def judge(self, request: Request, flow: Flow, username: str, password: str) -> Verdict:
        """Verify a request's credentials as those of this user."""
        if (claimed := self.digest.credentials_of(request)) is not None:
            source = self._source(flow)
            if source.unanswered < MD5_FIRST_AFTER or claimed.algorithm.upper() == ALGORITHMS[0]:
                source.unanswered = 0  # but a source that answers MD5 alone keeps getting MD5 first
        return self.digest.verify(request, username, password, self._now(), source=_nonce_scope(flow))

    def tag(self, request: Request) -> str:
        """The To tag of our challenge to this INVITE, or to the INVITE that this ACK acknowledges.

        It is derived from the request, so that retransmissions get the same one (§8.2.7).
        """
        return self.digest.tag_for(f"{request.call_id} {request.cseq.number} {request.from_tag}")

    def challenge(self, transaction: ServerTransaction, *, stale: bool = False) -> None:
        """Challenge in a transaction; `stale`: only the nonce was too old."""
        request, flow = transaction.request, transaction.flow
        order = self._order(request, flow)
        transaction.reply(401, [("WWW-Authenticate", self._challenge(flow, each, stale)) for each in order])

    def deny(self, transaction: ServerTransaction, who: str, max_bytes: int | None = None) -> None:
        """The credentials are wrong: count that, and respond after a delay.

        `max_bytes`: size limit of the response, if it goes to an address that may be forged.
        """
        failures = self.failed(transaction.flow, who)
        if self.exhausted:
            return self.challenge(transaction)
        self._waiting += 1
        delay_s = min(FIRST_DELAY_S * 2 ** min(failures - 1, 10), LONGEST_DELAY_S)
        self._core.spawn(self._deny_later(transaction, delay_s, max_bytes))

    @property
    def exhausted(self) -> bool:
        """True while the limit of pending delayed responses is reached."""
        return self._waiting >= MAX_WAITING

    def failed(self, flow: Flow, who: str) -> int:
        """Count wrong credentials; return how many this source has sent recently."""
        source = self._source(flow)
        self._gate.failed(flow)
        now = self._now()
        if now - source.failed_at > FORGIVEN_S:
            source.failures = 0
        source.failures, source.failed_at = source.failures + 1, now
        if source.failures == 1 and self._may_log(now):
            log.warning("wrong password", user=who, source=flow.remote[0], transport=flow.transport)
        return source.failures

    def accept(self, flow: Flow) -> None:
        """The credentials are right: reset the failures and refund the two requests this took.

        So an office of phones behind one NAT is not limited.
        """
        source = self._source(flow)
        source.failures, source.tokens = 0, source.tokens + 2
        self._gate.proved(flow)

    async def _deny_later(
        self, transaction: ServerTransaction, delay_s: float, max_bytes: int | None
    ) -> None:
        try:
            await asyncio.sleep(delay_s)
            response = self._fit_challenge(transaction.request, transaction.flow, max_bytes, False)
            transaction.respond(response or self._compact(transaction.request.reply(403)))
        finally:
            self._waiting -= 1

    def _may_log(self, now: float) -> bool:
        """Whether one more log line about wrong passwords is within the limit for all sources together."""
        return self._log_limit.count(now) <= LINES_PER_MINUTE

    def _fit_challenge(
        self, request: Request, flow: Flow, max_bytes: int | None, stale: bool
    ) -> Response | None:
        """The most complete challenge of at most `max_bytes`; None if none fits."""
        order = self._order(request, flow)
        for algorithms, compact in ((order, False), (order, True), (ALGORITHMS[-1:], True)):
            response = self._response(request, flow, algorithms, compact, stale)
            if max_bytes is None or len(response.encode()) <= max_bytes:
                return response
        return None

    def _order(self, request: Request, flow: Flow) -> tuple[str, ...]:
        """Algorithms, strongest first (RFC 8760 §2.4), or MD5 first for a source that ignores that order.

        Much equipment that only knows MD5 looks at the first challenge alone.
        """
        source, last_asked = self._source(flow), (request.call_id, request.cseq.number)
        if last_asked != source.last_asked and self.digest.credentials_of(request) is None:
            source.last_asked, source.unanswered = last_asked, source.unanswered + 1
            if source.unanswered == MD5_FIRST_AFTER and self._may_log(self._now()):
                log.info("challenge not answered, MD5 is first from now on", source=flow.remote[0])
        return ALGORITHMS if source.unanswered < MD5_FIRST_AFTER else ALGORITHMS[::-1]

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
        return self.digest.challenge(self._now(), algorithm, stale=stale, source=_nonce_scope(flow))

    @staticmethod
    def _compact(response: Response) -> Response:
        response.headers = Headers((_SHORT.get(name, name), value) for name, value in response.headers)
        response.headers.add("l", "0")
        return response

    def _source(self, flow: Flow) -> _Source:
        """The record of a flow's source; UDP sources, which can be forged, are kept apart."""
        source_key = source_of(flow), flow.reliable
        source = self._sources.pop(source_key, None) or _Source(self._now())
        self._sources[source_key] = source  # most recently seen last
        if len(self._sources) > MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        return source

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _nonce_scope(flow: Flow) -> str:
    """Binds a nonce to the source over UDP, where that can be forged, even as a trunk's address.

    Otherwise whoever has a phone's password could register the forged address, and have us call there at our
    expense.
    """
    return "" if flow.reliable else source_of(flow)
