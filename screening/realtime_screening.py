"""The screening of one caller by a voice AI that we drive through its API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import assert_never

import structlog

from screening.contract import AgentCost, News, TranscriptLine, Undecided, Verdict
from screening.costs.meter import Meter, unlimited
from screening.provider import Provider, ProviderError
from screening.settings import AgentSettings, ScreeningSettings
from screening.talk.briefing import Briefing
from screening.talk.closing import Transfer
from screening.talk.conversation import Conversation
from screening.talk.judgement import Judgement
from screening.talk.talk_clock import TalkClock
from screening.talk.tools import Decision

ANSWER_GRACE_S = 2.0
"""How long past `ready_limit_s` the agent's answer is still waited for here."""
WEBHOOK_LIMIT_S = 5.0
"""How long after the agent's answer its webhook may arrive. If it never does, another application has
accepted the call, and nobody here would ever decide about its caller.
"""
LEFT_GRACE_S = 2.0
"""How long the session may outlast the agent's leg: the last transcript lines and usage reports may be late.
"""
HANG_UP_RETRY_DELAYS_S = 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0
"""Delays between the attempts to end a session. Where the vendor cannot be reached, our BYE is lost, too, and
the session would be billed for up to an hour.
"""


class Referral:
    """Requests the REFER of one call from the vendor."""

    def __init__(self, provider: Provider, target: str, targets: Mapping[str, str]) -> None:
        self._provider, self._target, self._targets = provider, target, targets
        self.call_id = ""
        """The vendor's id of the call, once it is taken."""

    async def __call__(self, to: str | None) -> None:
        target = self._target if to is None else self._targets.get(to, self._target)
        await self._provider.refer(self.call_id, target)


class RealtimeScreening:
    """Implements `contract.Screening` on top of a `Provider`.

    `attend` runs from the vendor's webhook until the session is over, and does all the waiting. `verdict`
    only takes what is latched, so the call may cancel it at any moment.
    """

    def __init__(
        self,
        call: str,
        agent: AgentSettings,
        limits: ScreeningSettings,
        provider: Provider,
        refer_target: str | None,
        forget: Callable[[], None],
        *,
        meter: Meter | None = None,
        briefing: Briefing | None = None,
        targets: Mapping[str, str] | None = None,
    ) -> None:
        """`forget` is called once, when the call is over. `targets` maps names of destinations to what is
        referred to for them in place of `refer_target`.
        """
        self._meter = meter = meter or unlimited(agent.name, agent.model)
        self._log = structlog.get_logger("screendoor").bind(call=call, leg="agent")
        self._agent = agent
        self._provider = provider
        self._referral: Referral | None = None
        if agent.transfer == "refer" and refer_target is not None:
            self._referral = Referral(provider, refer_target, targets or {})
        self._briefing = briefing
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._answer_limit_s = limits.ready_limit_s + ANSWER_GRACE_S
        self._answer_due = self._loop.time() + self._answer_limit_s
        self._announced = self._answered = False
        self._finished = asyncio.Event()
        self._judgement = Judgement()
        self._clock = TalkClock(limits)
        transfer = Transfer(self._referral, agent.refer_patience_s)
        self._conversation = Conversation(self._judgement, self._clock, transfer, self._log, meter, briefing)
        self._over = self._stopping = False
        self._retry_hang_up_now: asyncio.Event | None = None
        """Set at shutdown, to cut short the wait before the next attempt to end a session."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def transcript(self) -> Sequence[TranscriptLine]:
        return self._conversation.transcript

    @property
    def decided(self) -> Verdict | None:
        return self._conversation.decided

    @property
    def informed_s(self) -> float | None:
        """When the caller had heard the recording notice, in seconds since the screening began."""
        return self._conversation.informed_s

    @property
    def spent(self) -> AgentCost | None:
        return self._meter.spent

    async def verdict(self) -> Verdict:
        return await self._judgement.verdict()

    def agent_left(self, lost: str | None = None) -> Verdict:
        """A decision not yet carried out still holds; without one it is a failure."""
        return self._conversation.pending or Undecided(lost or "the agent hung up")

    def tell(self, news: News) -> None:
        match news:
            case News.AGENT_CALLED:
                self._answer_due = self._loop.time() + self._answer_limit_s
            case News.AGENT_ANSWERED:
                self._answered = True
                self._meter.begin()
                self._clock.start(self._loop.time())
                self._judgement.changed.notify_all()
                self._schedule(WEBHOOK_LIMIT_S, self._expect_webhook)
            case News.REFER_ARRIVED:
                self._judgement.refer_seen()
            case News.CONNECTED:
                self._judgement.settle()
            case News.AGENT_LEFT:
                self._meter.end()
                self._schedule(LEFT_GRACE_S if self._answered else 0.0, self._leave)
            case News.CALLER_LEFT:
                self._finished.set()
            case News.PHONE_BUSY | News.PHONE_NO_ANSWER | News.PHONE_DECLINED | News.PHONE_UNREACHABLE:
                self._conversation.phone_failed(news)
            case _:
                assert_never(news)

    def overrule(self, verdict: Verdict) -> bool:
        if isinstance(verdict, Undecided) or not self._answered:
            return False
        return self._conversation.overrule(Decision.of(verdict))

    def ask(self, text: str) -> bool:
        return self._conversation.ask(text)

    def follow(self, on_line: Callable[[TranscriptLine], None]) -> None:
        self._conversation.on_line = on_line

    def over(self, outcome: str) -> None:
        self._finished.set()
        if not self._over:
            self._over = True
            self._cancel_timer()
            self._meter.close()
            self._log.debug("screening over", outcome=outcome)
            self._forget()

    def shut_down(self) -> None:
        """End the session as the process ends, without further retries."""
        self._stopping = True
        if self._retry_hang_up_now is not None:
            self._retry_hang_up_now.set()
        self.over("shut down")

    async def attend(self, call_id: str) -> None:
        """Accept the vendor's call, screen the caller, and always end the vendor's session."""
        if self._finished.is_set() or self._given_up():
            return await turn_away(self._provider, call_id, self._log)
        self._announced = True
        if self._referral is not None:
            self._referral.call_id = call_id
        try:
            # Never cancelled: an accept in flight cannot be taken back, only hung up afterwards.
            await self._provider.accept(call_id, self._briefing)
            self._log.info("accepted")
            if not self._finished.is_set():
                await self._converse(call_id)
        except ProviderError as error:
            tell = self._log.debug if self._finished.is_set() else self._log.warning
            tell("screening not possible", why=str(error))  # expected once the call is over
            self._judgement.lose(str(error))
        except Exception:
            self._judgement.lose("the screening failed")
            raise
        finally:
            await self._hang_up(call_id)

    async def _converse(self, call_id: str) -> None:
        async with self._provider.attach(call_id) as session, asyncio.TaskGroup() as tasks:
            talk = tasks.create_task(self._conversation.run(session))
            answer = tasks.create_task(self._expect_answer())
            await self._finished.wait()
            talk.cancel()
            answer.cancel()

    async def _expect_answer(self) -> None:
        """End the session if the call went on without the agent: nobody else would ever hang it up."""
        try:
            async with asyncio.timeout_at(self._answer_due):
                await self._judgement.changed.wait_for(lambda: self._answered)
        except TimeoutError:
            self._log.warning("agent never answered")
            self._judgement.lose("the agent accepted, but never answered")
            self._finished.set()

    def _schedule(self, after_s: float, step: Callable[[], None]) -> None:
        self._cancel_timer()
        if not self._over:
            self._timer = self._loop.call_later(after_s, step)

    def _cancel_timer(self) -> None:
        """Cancel the timer, so that it does not keep a finished screening alive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expect_webhook(self) -> None:
        if not (self._announced or self._finished.is_set()):
            why = "does another application accept the calls of this project?"
            self._log.warning("agent answered, but no webhook came", why=why)
            self._judgement.lose("the agent answered, but its webhook never came")

    def _leave(self) -> None:
        """End the session: our BYE may be lost, and the vendor not know that it talks to nobody."""
        self._judgement.lose("the agent hung up")
        self._finished.set()

    def _given_up(self) -> bool:
        late = not self._answered and self._loop.time() > self._answer_due
        return late or self._judgement.lost is not None

    async def _hang_up(self, call_id: str) -> None:
        """End the session, retrying while the vendor or the way to it fails."""
        for again_s in (*HANG_UP_RETRY_DELAYS_S, None):
            try:
                await self._provider.hang_up(call_id)
                return
            except ProviderError as error:
                passing = error.status is None or error.status == 429 or error.status >= 500
                if again_s is None or self._stopping or not passing:
                    self._log.warning("session not ended", why=str(error))
                    return
                self._log.debug("session not ended yet", why=str(error), again_s=again_s)
            self._retry_hang_up_now = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await self._retry_hang_up_now.wait()


async def turn_away(provider: Provider, call_id: str, log: structlog.stdlib.BoundLogger) -> None:
    """Reject the vendor's call, as its caller has gone."""
    log.info("turned away, nobody is waiting")
    try:
        await provider.reject(call_id)
    except ProviderError as error:
        log.warning("not turned away", why=str(error))
