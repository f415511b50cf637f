"""Our own registration with a trunk that does not know our address (RFC 3261 §10.2, RFC 5626 §4.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from proxy.sip.digest import DigestClient, DigestRefused
from proxy.sip.errors import ParseError, SipError
from proxy.sip.grammar import number
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.sip.values import NameAddr, retry_after
from proxy.transport.flow import Flow, TransportFailed
from proxy.ua.authenticated_peers import Meeting
from proxy.ua.driver import Message
from proxy.ua.errors import Rejected, TransactionTimeout
from proxy.ua.failover import TRY_S
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

BASE_S, MAX_S = 30.0, 1800.0
"""RFC 5626 §4.5: the wait after a failure, doubled with each, and its bound; half to all of it is taken."""
MAX_AWAY_S = 60.0
"""The bound while nobody is reached: mostly our own line is down, and calls come when it is back."""
SOON_S = 5.0
"""A connection that broke is made anew within this time."""
PING_S = 25.0
"""How often a NAT on the way is reminded of us."""
PING = b"\r\n\r\n"
MAX_TRIES = 5
"""Requests of one attempt: a challenge, a stale nonce and a longer time may each ask for one more."""
FAREWELL_S = 2.0
"""How long we wait for the answer when we unregister."""
SLEPT_S = 30.0
"""By so much the wall clock is ahead of the loop's after a sleep that may have cost us our registration."""

_MAX_SECONDS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Account:
    """As whom we register with a trunk, and where."""

    trunk: str
    registrar: str
    """SIP URI of the registrar; its host is the domain of our address-of-record."""
    username: str
    password: str = field(repr=False)
    expires_s: int = 600
    """What we ask for."""
    profile: str = ""
    """On whose terms TLS is spoken."""


class Registration:
    """Keeps us registered while `run` runs. A door: what comes from the registrar comes from the trunk."""

    def __init__(
        self,
        core: UserAgentCore,
        account: Account,
        *,
        changed: Callable[[str, bool], None] = lambda *_: None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        """`changed` hears the trunk's name, and whether we are registered with it. `wall_clock`: seconds that
        pass for the trunk, too, while this machine sleeps; None: those of the loop, which stand still then.
        """
        self._core, self.account, self._changed = core, account, changed
        self._wall_clock = wall_clock or (lambda: asyncio.get_running_loop().time())
        self.registered = False
        self.why = "not tried yet"
        """Why we are not registered."""
        self._proved = False
        """The password was right at least once."""
        self._user, self._call_id = core.ids.token(), core.ids.call_id()
        self._tag, self._cseq = core.ids.tag(), 0
        self._expires_s = account.expires_s
        self._credentials = DigestClient(account.username, account.password)
        self._uri = Uri.parse(account.registrar)
        self._flow: Flow | None = None
        self._addresses: frozenset[str] = frozenset()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Register, refresh, begin anew; never returns."""
        failures = 0
        while True:
            try:
                granted_s = await self._anywhere(self._expires_s)
            except SipError as error:
                wait_s = self._patience_s(failures, error)
                failures += 1
                self._down(str(error), retry_in_s=round(wait_s))
                await self._pause(wait_s)
                continue
            failures = 0
            self._up(granted_s)
            await self._hold(granted_s * self._core.ids.uniform(0.5, 0.9))
            if self._lost.is_set():
                self._down("the connection is gone")
                await asyncio.sleep(self._core.ids.uniform(0, SOON_S))

    async def close(self) -> None:
        """Unregister; the trunk sends us nothing more. `run` is to be cancelled before."""
        flow = self._flow
        if self.registered and flow is not None and not flow.closed:
            self.registered = False
            with suppress(SipError, TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._register(flow, 0)
            log.info("trunk unregistered", trunk=self.account.trunk)
            self._changed(self.account.trunk, False)

    # The door.

    def knows(self, flow: Flow) -> bool:
        return flow is self._flow or flow.remote[0] in self._addresses

    def trunk(self, flow: Flow) -> str | None:
        return self.account.trunk if self.knows(flow) else None

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        return Meeting.IGNORED

    def unproven(self, request: Request, flow: Flow) -> bool:
        return False

    def takes(self, transaction: ServerTransaction) -> bool:
        return False

    def lost(self, flow: Flow) -> None:
        if flow is self._flow:
            self._lost.set()

    # How it goes.

    async def _anywhere(self, expires_s: int) -> int:
        """Register at the first place that takes it (RFC 3263 §4.3); returns for how many seconds.

        One that was silent lately comes last, and none is waited for long while there is another: where IPv6
        leads nowhere, say, a registration for a minute would be over half a minute before it is made anew.
        """
        targets = await self._core.network.resolve(self._uri, self.account.profile)
        reachability, now = self._core.reachability, self._core.alarms.now
        failure: SipError = TransportFailed(f"{self._uri.host}: no address")
        targets.sort(key=lambda each: not reachability.stands(each, now()))
        for target in targets:
            try:
                flow = await self._core.network.connect(target)
                self._lost.clear()
                self._flow = flow
                granted_s = await self._register(flow, expires_s, None if target is targets[-1] else TRY_S)
            except (TransportFailed, TransactionTimeout) as error:
                failure = error
                reachability.failed(target, str(error), now())
            except Rejected as refusal:
                if refusal.status != 503:
                    raise
                failure = refusal
            else:
                reachability.answered(target)
                self._addresses = frozenset(each.address[0] for each in targets)
                return granted_s
        raise failure

    async def _register(self, flow: Flow, expires_s: int, patience_s: float | None = None) -> int:
        """One attempt, with what the registrar wants added to it; raises SipError.

        `patience_s`: for each answer; None is as long as a transaction lasts.
        """
        credentials = Headers()
        for _ in range(MAX_TRIES):
            request = self._request(flow, expires_s, credentials)
            response = await self._answer(request, flow, patience_s)
            if response.status < 300:
                return self._granted(response, expires_s)
            if response.status in (401, 407):
                credentials = self._credentials.authorize(request, response, self._core.ids.token())
            elif response.status == 423 and (longer := _seconds(response.headers.get("Min-Expires"))):
                if longer <= expires_s:
                    raise Rejected(response)
                self._expires_s = expires_s = longer
            else:
                raise Rejected(response)
        raise Rejected(response)

    async def _answer(self, request: Request, flow: Flow, patience_s: float | None) -> Response:
        asked = _Asked()
        self._core.launch(request, flow, asked)
        try:
            async with asyncio.timeout(patience_s):
                return await asked.final
        except TimeoutError:
            raise TransactionTimeout(f"no answer within {patience_s:g} s") from None

    def _request(self, flow: Flow, expires_s: int, credentials: Headers) -> Request:
        domain = Uri(self._uri.scheme, None, None, self._uri.host)
        record = f"<{Uri(self._uri.scheme, self.account.username, None, self._uri.host)}>"
        self._cseq += 1
        request = Request("REGISTER", str(domain), Headers())
        for name, value in (
            ("Max-Forwards", "70"),
            ("From", f"{record};tag={self._tag}"),
            ("To", record),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", self._core.contact(flow, self._user, registrar=True)),
            ("Expires", str(expires_s)),
            *credentials,
        ):
            request.headers.add(name, value)
        return request

    def _granted(self, response: Response, asked_s: int) -> int:
        """For how long: as our Contact says, else as Expires says, else as we asked (§10.2.4)."""
        for value in response.headers.split("Contact"):
            with suppress(ParseError):
                contact = NameAddr.parse(value)
                if contact.uri.user == self._user and (own := _seconds(contact.params.get("expires"))):
                    return own
        return _seconds(response.headers.get("Expires")) or asked_s

    async def _hold(self, for_s: float) -> None:
        """Wait until it is time to refresh, or the connection is gone; keep the way open meanwhile."""
        for left_s in self._awake(for_s):
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, PING_S)):
                    await self._lost.wait()
                    return
            with suppress(TransportFailed):
                if self._flow is not None:
                    self._flow.send(PING)

    async def _pause(self, for_s: float) -> None:
        """Wait until it is time to try again."""
        for left_s in self._awake(for_s):
            await asyncio.sleep(min(left_s, PING_S))

    def _awake(self, for_s: float) -> Iterator[float]:
        """What is left of so many seconds, until they are over. Who has slept since waits no longer: the
        trunk has not, nor has any NAT on the way.
        """
        loop = asyncio.get_running_loop()
        until, ahead = loop.time() + for_s, self._wall_clock() - loop.time()
        while (left_s := until - loop.time()) > 0:
            if (slept_s := self._wall_clock() - loop.time() - ahead) > SLEPT_S:
                log.info("trunk asked anew: the clock leapt", trunk=self.account.trunk, by_s=round(slept_s))
                return
            yield left_s

    def _patience_s(self, failures: int, error: SipError) -> float:
        """How long to wait after one more failure; longer if the registrar says so (§20.33)."""
        away = isinstance(error, TransportFailed | TransactionTimeout)
        upper_s = min(MAX_AWAY_S if away else MAX_S, BASE_S * (1 << min(failures, 10)))
        if isinstance(error, DigestRefused) and not self._proved:
            upper_s = MAX_S  # nothing will change by itself, and a registrar bans who insists
        wait_s = upper_s * self._core.ids.uniform(0.5, 1.0)
        if isinstance(error, Rejected):
            told = retry_after(error.response.headers.get("Retry-After"))
            wait_s = max(wait_s, min(told or 0.0, MAX_S))
        return wait_s

    def _up(self, granted_s: int) -> None:
        self._proved = True
        if not self.registered:
            self.registered, self.why = True, ""
            log.info("trunk registered", trunk=self.account.trunk, expires_s=granted_s)
            self._changed(self.account.trunk, True)

    def _down(self, why: str, **more: object) -> None:
        if self.registered or why != self.why:
            log.warning("trunk not registered", trunk=self.account.trunk, why=why, **more)
        self.registered, self.why = False, why
        self._changed(self.account.trunk, False)


class _Asked:
    """The user of one REGISTER: its final response, or why there is none."""

    def __init__(self) -> None:
        self.final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        if message.status >= 200 and not self.final.done():
            self.final.set_result(message)

    def failed(self, error: SipError) -> None:
        if not self.final.done():
            self.final.set_exception(error)


def _seconds(text: str | None) -> int:
    """A time in seconds; 0 where there is none, or none that can be read."""
    if text is None:
        return 0
    try:
        return number(text.strip(), "expires", _MAX_SECONDS)
    except ParseError:
        return 0
