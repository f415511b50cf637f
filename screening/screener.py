"""Plans each caller's screening, and matches the vendor's webhooks with waiting calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, assert_never

import structlog

from screening.callers.numbering import normalize
from screening.callers.recent import RecentCalls
from screening.contract import (
    Ask,
    Caller,
    Challenge,
    IdentityHeaders,
    Plan,
    Refusal,
    Refuse,
    Ring,
    TakeMessage,
    Undecided,
    Verification,
    Wish,
)
from screening.costs.accounts import Accounts
from screening.decision import Action
from screening.log_limit import LogLimit
from screening.pending_calls import EndedCall, Ignored, PendingCall, PendingCalls
from screening.policy import Policy
from screening.provider import Provider
from screening.providers import api_of, provider_of
from screening.realtime_screening import RealtimeScreening, turn_away
from screening.settings import SIP_AGENT, AgentSettings, NumberSettings
from screening.sip_agent import SipScreening
from screening.talk.briefing import Briefing
from screening.talk.briefings import Briefings
from screening.token import HEADER, TokenMint, TokenRefused
from screening.webhook import Api, IncomingCall, WebhookReceiver

if TYPE_CHECKING:  # cryptography is for those who verify
    from screening.stir.verifier import Verifier

log = structlog.get_logger("screendoor")

KEY_BYTES = 32
WRONG_API_GRACE_S = 3.0
"""How long after an announcement by the wrong API alone a warning is logged; the two normally arrive
together.
"""
TOO_MANY_IGNORED = "webhooks of no call of ours are not logged for a minute: there are too many"
ANY_NUMBER = "*"
ASK_EVERYBODY = Policy()
_ring = lru_cache(maxsize=256)(Ring)  # many callers share a reason
EVENTS = {Api.REALTIME: "realtime.call.incoming", Api.LIVE: "live.transport.incoming"}
"""The webhook event to subscribe to, for each API."""


class Screener:
    """Implements `contract.Screener` for the configured agents.

    ``async with screener:`` owns every task and connection of the screenings; leaving it ends them all and
    waits until no session is left at a vendor. The HTTP side passes webhooks to `webhooks`.
    """

    def __init__(
        self,
        agents: Sequence[AgentSettings],
        numbers: Sequence[NumberSettings] = (),
        *,
        wall_clock: Callable[[], datetime],
        token_bytes: Callable[[int], bytes],
        provider_of: Callable[[AgentSettings], Provider] = provider_of,
        policies: Mapping[str, Policy] | None = None,
        accounts: Accounts | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """Raise ValueError (also as `InvalidSession`) for settings that cannot work.

        `policies` are by dialled number; without one, every caller is asked. `verifier` verifies Identity
        headers; None: they are not verified. `wall_clock` returns an aware datetime; `token_bytes` random
        bytes, as `secrets.token_bytes` does.
        """
        self._agents = {agent.name: agent for agent in agents}
        self._numbers = {number.dialed: number for number in numbers}
        self._briefings = _briefings(numbers)
        self._policies = dict(policies or {})
        self.accounts = accounts or Accounts(wall_clock)
        self.recent = RecentCalls()
        self._verifier, self._warned_unverified = verifier, False
        self._wall_clock = wall_clock
        self._tokens = TokenMint(token_bytes(KEY_BYTES), token_bytes)
        asked = [agent for agent in agents if agent.provider != SIP_AGENT]
        self._providers = {agent.name: provider_of(agent) for agent in asked}
        self._pending = PendingCalls(self._tokens.lifetime_s)
        self._attended: set[RealtimeScreening] = set()
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None
        self.on_wish: Callable[[Caller, Wish], None] | None = None
        """Stores the users' wishes for callers, returning at once; None if nothing does."""
        self._ignored = LogLimit(TOO_MANY_IGNORED)
        self.counts: Counter[str] = Counter()
        """Webhooks by result, for the metrics."""
        self.webhooks = WebhookReceiver([agent.webhook_secret for agent in asked], wall_clock, self._incoming)

    async def __aenter__(self) -> Self:
        for provider in self._providers.values():
            self._stack.push_async_callback(provider.close)
        if self._verifier is not None:
            await self._stack.enter_async_context(self._verifier)
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for screening in [*self._attended, *self._pending.screenings]:
            screening.shut_down()
        await self._stack.__aexit__(kind, error, trace)
        self._tasks = None

    async def plan(self, caller: Caller) -> Plan:
        """Apply the dialled number's policy to this caller, after verifying their identity."""
        policy = self._policy(caller)
        if caller.signed is None:
            return self._plan_for(policy, caller)
        verification = await self._verify(caller, caller.signed, policy.country)
        if verification is None:
            return self._plan_for(policy, caller)
        return replace(
            self._plan_for(policy, replace(caller, verification=verification)), verification=verification
        )

    def _policy(self, caller: Caller) -> Policy:
        return self._policies.get(caller.dialed) or self._policies.get(ANY_NUMBER) or ASK_EVERYBODY

    async def _verify(self, caller: Caller, signed: IdentityHeaders, country: str) -> Verification | None:
        """Verify the caller ourselves; None leaves it at what the trunk reported."""
        if self._verifier is None:
            if not self._warned_unverified:
                self._warned_unverified = True
                log.info("identity headers are not verified", why="no roots in [stir]")
            return None
        try:
            found = await self._verifier.verify(signed, country)
        except Exception:
            log.exception("verification crashed", call=caller.call)
            return None
        return None if found.result == "unknown" and caller.verification is not None else found

    def _plan_for(self, policy: Policy, caller: Caller) -> Plan:
        earlier = self.recent.record(caller)
        decision = policy.decide(caller, earlier[-1] if earlier else None, earlier)
        first = decision.action is Action.CHALLENGE or (policy.gate and decision.action is Action.ASK)
        if first and not caller.challenged:  # they have to press a key first
            return Challenge(decision.reason)
        if decision.rule == "expected":
            policy.note_expected_call(caller)
        match decision.action:
            case Action.RING | Action.CHALLENGE:
                return _ring(decision.reason)
            case Action.VOICEMAIL:
                return TakeMessage(decision.reason)
            case Action.REJECT:
                why = Refusal.OUT_OF_HOURS if decision.rule == "hours" else Refusal.BLOCKED
                blocked = decision.rule.startswith("block")
                return Refuse(why, decision.reason, policy.block_with if blocked else policy.reject_with)
            case Action.ASK:
                return self._plan_to_ask(caller, decision.reason, policy)
            case _:
                assert_never(decision.action)

    def ask(self, caller: Caller) -> Plan:
        """Plan to have `caller.agent` ask a caller whose first agent did not take the call."""
        return self._plan_to_ask(caller, "", self._policy(caller))

    def remember(self, caller: Caller, wish: Wish) -> None:
        """Pass on the user's wish for this caller's number to be stored."""
        if caller.number is None:
            log.info("not remembered", wish=wish.value, why="the number is withheld")
        elif self.on_wish is None:
            log.warning("not remembered", wish=wish.value, why="there is no memory")
        else:
            self.on_wish(caller, wish)

    def _plan_to_ask(self, caller: Caller, reason: str, policy: Policy) -> Plan:
        """Plan to have the caller's agent ask them; ring if there is no such agent."""
        agent = self._agents.get(caller.agent)
        if agent is None:
            return Ring(f"no agent named {caller.agent}" if caller.agent else "no agent screens this number")
        number = self._numbers.get(caller.dialed) or self._numbers.get(ANY_NUMBER)
        limits = agent.limits
        if number is not None and number.talk_limit_s is not None:
            limits = replace(limits, talk_limit_s=number.talk_limit_s)
        if number is not None and number.ask_if_there_s is not None:
            limits = replace(limits, ask_if_there_s=number.ask_if_there_s)
        limits = self.accounts.limited(caller, limits)
        meter = self.accounts.meter(caller, agent, limits)
        if isinstance(meter, str):
            return Undecided(meter)
        if agent.provider == SIP_AGENT:
            return Ask(SipScreening(limits, meter), patience_s=limits.ready_limit_s, reason=reason)
        now = self._wall_clock()
        token = self._tokens.mint(now)
        nonce = self._tokens.open(token, now)
        provider, target = self._providers[agent.name], number.refer_target if number else None
        forget = partial(self._forget, nonce)
        screening = RealtimeScreening(
            caller.call, agent, limits, provider, target, forget,
            meter=meter,
            briefing=self._briefing(caller, number, policy),
            targets=number.targets if number else None,
        )  # fmt: skip
        self._pending.add(nonce, PendingCall(screening, provider, api_of(agent)))
        return Ask(screening, {HEADER: token}, limits.ready_limit_s, reason)

    def _briefing(self, caller: Caller, number: NumberSettings | None, policy: Policy) -> Briefing | None:
        """What the agent is told about this call; None for what its own settings say."""
        briefings = self._briefings.get((number.dialed, caller.agent)) if number is not None else None
        if briefings is None:
            return None
        shown = normalize(caller.number, policy.country) if caller.number else None
        return briefings.brief(caller, shown, known=policy.knows_caller(caller))

    def _incoming(self, incoming: IncomingCall) -> None:
        """Match a webhook with a waiting call, once. Anybody can make the vendor send one."""
        try:
            nonce = self._tokens.open(_only(incoming.values(HEADER)), self._wall_clock())
        except TokenRefused as refused:
            return self._count_ignored(str(refused))
        match self._pending.match(nonce, incoming.api, asyncio.get_running_loop().time()):
            case PendingCall() as waiting:
                self._count("matched")
                self._attended.add(waiting.screening)
                self._start(self._attend(waiting.screening, incoming.call_id))
            case EndedCall() as left:
                self._count("too late")
                self._start(turn_away(left.provider, incoming.call_id, log))
            case Ignored.OTHER_API:
                self._count(Ignored.OTHER_API.value)
                log.debug("webhook of another API", api=incoming.api.value)
                asyncio.get_running_loop().call_later(
                    WRONG_API_GRACE_S, self._warn_of_wrong_api, nonce, incoming.api
                )
            case Ignored.UNKNOWN as passed:
                self._count_ignored(passed.value)

    def _warn_of_wrong_api(self, nonce: bytes, came: Api) -> None:
        """Warn that the project subscribes to the other API's event alone, as nothing else would."""
        if self._pending.only_other_api_announced(nonce):
            wanted = Api.LIVE if came is Api.REALTIME else Api.REALTIME
            log.warning(
                "only the wrong API announces this call: subscribe the webhook to the other event",
                came=EVENTS[came],
                subscribe=EVENTS[wanted],
            )

    async def _attend(self, screening: RealtimeScreening, call_id: str) -> None:
        try:
            await screening.attend(call_id)
        finally:
            self._attended.discard(screening)

    def _count_ignored(self, reason: str) -> None:
        self._count(reason)
        now = self._wall_clock().timestamp()
        self._ignored.warning(now, "webhook of no call of ours", reason=reason)

    def _count(self, reason: str) -> None:
        self.counts[reason] += 1

    def _forget(self, nonce: bytes) -> None:
        """Note that a call is over; if its webhook still arrives, it is turned away."""
        self._pending.end(nonce, asyncio.get_running_loop().time())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is None:
            work.close()
            raise RuntimeError("the screener is not running: use `async with`")
        self._tasks.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """Contain a crash to its own call."""
        try:
            await work
        except Exception:
            log.exception("screening crashed")


def _briefings(numbers: Sequence[NumberSettings]) -> dict[tuple[str, str], Briefings]:
    """By dialled number and agent."""
    return {(each.dialed, agent): Briefings(talk) for each in numbers for agent, talk in each.talks.items()}


def _only(values: Sequence[str]) -> str:
    """Return the single token of a call; raises `TokenRefused`."""
    different = {value.strip() for value in values}
    if len(different) != 1:
        raise TokenRefused("several tokens" if different else "no token")
    return different.pop()
