"""Our registration with a trunk that does not know our address (RFC 3261 §10.2, RFC 5626 §4.5)."""

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
from proxy.ua.authenticated_peers import AuthResult
from proxy.ua.driver import Message
from proxy.ua.errors import Rejected, TransactionTimeout
from proxy.ua.route import TARGET_TIMEOUT_S
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")

BASE_S, MAX_S = 30.0, 1800.0
"""RFC 5626 §4.5: the wait after a failure, doubled each time, up to a maximum; 50 to 100 % of it is used."""
MAX_UNREACHABLE_S = 60.0
"""The maximum while nobody can be reached: mostly our own line is down, and calls resume when it is back."""
RECONNECT_WITHIN_S = 5.0
"""A broken connection is replaced within this time."""
PING_S = 25.0
"""Interval of keep-alives, for NATs on the path."""
PING = b"\r\n\r\n"
MAX_TRIES = 5
"""Requests in one attempt: a challenge, a stale nonce and a longer Min-Expires may each ask for one more."""
UNREGISTER_TIMEOUT_S = 2.0
"""How long to wait for the response when unregistering."""
SUSPEND_THRESHOLD_S = 30.0
"""If the wall clock gains this much on the loop clock, the machine slept and the registration may be lost."""

_MAX_SECONDS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Account:
    """Our account with a trunk."""

    trunk: str
    registrar: str
    """SIP URI of the registrar; its host is the domain of our address-of-record."""
    username: str
    password: str = field(repr=False)
    expires_s: int = 600
    """The expiry we ask for."""
    profile: str = ""
    """Name of the TLS profile to use."""


class Registration:
    """Keeps us registered while `run` runs, and identifies what comes from the registrar as the trunk."""

    def __init__(
        self,
        core: UserAgentCore,
        account: Account,
        *,
        changed: Callable[[str, bool], None] = lambda *_: None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        """`changed` is called with the trunk's name and whether we are registered.

        `wall_clock` returns seconds that also pass while this machine sleeps; None uses the loop's clock,
        which stops then.
        """
        self._core, self.account, self._changed = core, account, changed
        self._wall_clock = wall_clock or (lambda: asyncio.get_running_loop().time())
        self.registered = False
        self.why = "not tried yet"
        """Why we are not registered."""
        self._password_accepted = False
        """Whether the password has been accepted at least once."""
        self._user, self._call_id = core.ids.token(), core.ids.call_id()
        self._tag, self._cseq = core.ids.tag(), 0
        self._expires_s = account.expires_s
        self._credentials = DigestClient(account.username, account.password)
        self._uri = Uri.parse(account.registrar)
        self._flow: Flow | None = None
        self._addresses: frozenset[str] = frozenset()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Register, refresh, and start over after a failure; never returns."""
        failures = 0
        while True:
            try:
                granted_s = await self._register_anywhere(self._expires_s)
            except SipError as error:
                wait_s = self._patience_s(failures, error)
                failures += 1
                self._set_unregistered(str(error), retry_in_s=round(wait_s))
                await self._wait_for_retry(wait_s)
                continue
            failures = 0
            self._set_registered(granted_s)
            await self._wait_for_refresh(granted_s * self._core.ids.uniform(0.5, 0.9))
            if self._lost.is_set():
                self._set_unregistered("the connection is gone")
                await asyncio.sleep(self._core.ids.uniform(0, RECONNECT_WITHIN_S))

    async def close(self) -> None:
        """Unregister, so that the trunk sends no more calls. Cancel `run` first."""
        flow = self._flow
        if self.registered and flow is not None and not flow.closed:
            self.registered = False
            with suppress(SipError, TimeoutError):
                async with asyncio.timeout(UNREGISTER_TIMEOUT_S):
                    await self._register(flow, 0)
            log.info("trunk unregistered", trunk=self.account.trunk)
            self._changed(self.account.trunk, False)

    # As an `Authenticator`.

    def knows(self, flow: Flow) -> bool:
        return flow is self._flow or flow.remote[0] in self._addresses

    def trunk(self, flow: Flow) -> str | None:
        return self.account.trunk if self.knows(flow) else None

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        return AuthResult.IGNORED

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        return False

    def handle(self, transaction: ServerTransaction) -> bool:
        return False

    def lost(self, flow: Flow) -> None:
        if flow is self._flow:
            self._lost.set()

    # Attempts and waits.

    async def _register_anywhere(self, expires_s: int) -> int:
        """Register at the first target that accepts (RFC 3263 §4.3); returns the granted seconds.

        Targets that failed recently come last, and only the last one gets a full transaction timeout.
        Otherwise, with unreachable IPv6 for example, a registration of one minute would lapse for half a
        minute at each refresh.
        """
        targets = await self._core.network.resolve(self._uri, self.account.profile)
        target_health, now = self._core.target_health, self._core.timer_queue.now
        failure: SipError = TransportFailed(f"{self._uri.host}: no address")
        targets.sort(key=lambda each: not target_health.is_healthy(each, now()))
        for target in targets:
            try:
                flow = await self._core.network.connect(target)
                self._lost.clear()
                self._flow = flow
                granted_s = await self._register(
                    flow, expires_s, None if target is targets[-1] else TARGET_TIMEOUT_S
                )
            except (TransportFailed, TransactionTimeout) as error:
                failure = error
                target_health.failed(target, str(error), now())
            except Rejected as refusal:
                if refusal.status != 503:
                    raise
                failure = refusal
            else:
                target_health.answered(target)
                self._addresses = frozenset(each.address[0] for each in targets)
                return granted_s
        raise failure

    async def _register(self, flow: Flow, expires_s: int, patience_s: float | None = None) -> int:
        """One attempt, adding whatever the registrar asks for; raises SipError.

        `patience_s`: timeout for each response; None is that of a transaction.
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
        final_response = _FinalResponse()
        self._core.launch(request, flow, final_response)
        try:
            async with asyncio.timeout(patience_s):
                return await final_response.final
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
        """The granted expiry: from our Contact, else from Expires, else what we asked for (§10.2.4)."""
        for value in response.headers.split("Contact"):
            with suppress(ParseError):
                contact = NameAddr.parse(value)
                if contact.uri.user == self._user and (own := _seconds(contact.params.get("expires"))):
                    return own
        return _seconds(response.headers.get("Expires")) or asked_s

    async def _wait_for_refresh(self, for_s: float) -> None:
        """Wait until the refresh is due or the connection is gone, sending keep-alives."""
        for left_s in self._seconds_left(for_s):
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, PING_S)):
                    await self._lost.wait()
                    return
            with suppress(TransportFailed):
                if self._flow is not None:
                    self._flow.send(PING)

    async def _wait_for_retry(self, for_s: float) -> None:
        """Wait until the next attempt is due."""
        for left_s in self._seconds_left(for_s):
            await asyncio.sleep(min(left_s, PING_S))

    def _seconds_left(self, for_s: float) -> Iterator[float]:
        """Yield the seconds left of `for_s` until they are over, or until the machine is found to have slept.

        The trunk and the NATs on the path have not slept, so the wait is then cut short.
        """
        loop = asyncio.get_running_loop()
        until, ahead = loop.time() + for_s, self._wall_clock() - loop.time()
        while (left_s := until - loop.time()) > 0:
            if (slept_s := self._wall_clock() - loop.time() - ahead) > SUSPEND_THRESHOLD_S:
                log.info(
                    "registering again: the machine was suspended",
                    trunk=self.account.trunk,
                    by_s=round(slept_s),
                )
                return
            yield left_s

    def _patience_s(self, failures: int, error: SipError) -> float:
        """How long to wait after one more failure; longer if Retry-After says so (§20.33)."""
        away = isinstance(error, TransportFailed | TransactionTimeout)
        upper_s = min(MAX_UNREACHABLE_S if away else MAX_S, BASE_S * (1 << min(failures, 10)))
        if isinstance(error, DigestRefused) and not self._password_accepted:
            upper_s = MAX_S  # retrying will not help, and registrars ban clients that insist
        wait_s = upper_s * self._core.ids.uniform(0.5, 1.0)
        if isinstance(error, Rejected):
            asked_s = retry_after(error.response.headers.get("Retry-After"))
            wait_s = max(wait_s, min(asked_s or 0.0, MAX_S))
        return wait_s

    def _set_registered(self, granted_s: int) -> None:
        self._password_accepted = True
        if not self.registered:
            self.registered, self.why = True, ""
            log.info("trunk registered", trunk=self.account.trunk, expires_s=granted_s)
            self._changed(self.account.trunk, True)

    def _set_unregistered(self, why: str, **more: object) -> None:
        if self.registered or why != self.why:
            log.warning("trunk not registered", trunk=self.account.trunk, why=why, **more)
        self.registered, self.why = False, why
        self._changed(self.account.trunk, False)


class _FinalResponse:
    """The transaction user of one REGISTER: its final response or its failure."""

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
    """A time in seconds; 0 if absent or unreadable."""
    if text is None:
        return 0
    try:
        return number(text.strip(), "expires", _MAX_SECONDS)
    except ParseError:
        return 0
