"""The agent's session while a caller is screened: listen, keep the limits, carry out what is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, assert_never

from screening import prompt
from screening.contract import Connect, Decline, News, Said, TakeMessage, Undecided, Verdict
from screening.judgement import Judgement, Stage
from screening.provider import (
    AgentSaid,
    CallerPressed,
    CallerSaid,
    Event,
    ProviderError,
    ResponseEnded,
    Resumed,
    Session,
    ToolCalled,
    Trouble,
)
from screening.talk_clock import TalkClock
from screening.tools import BadDecision, Choice, Decision, parse_decision
from screening.voice import Voice

HEARD_LIMIT_S = 8.0
"""How long a sentence is waited for, to be said and heard, before it is no longer waited for."""

VERDICTS: Mapping[Choice, type[Connect | Decline | TakeMessage]] = {
    Choice.ALLOW: Connect,
    Choice.REJECT: Decline,
    Choice.VOICEMAIL: TakeMessage,
}


@dataclass(frozen=True, slots=True)
class Decided:
    """A tool call that was a decision."""

    call: ToolCalled
    decision: Decision


@dataclass(frozen=True, slots=True)
class Misused:
    """A tool call that was none, or came too late, and what the agent is told."""

    call: ToolCalled
    error: str
    again: bool
    """Whether the agent should speak, or try, again."""


@dataclass(frozen=True, slots=True)
class SpeakAgain:
    """What the agent wanted to say has failed."""


Job = Decided | Misused | SpeakAgain | News | Resumed
"""What the agent has to be told or asked; done one after the other, in order."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How an allowed caller gets to the phone."""

    refer: Callable[[], Awaitable[None]] | None
    """Asks the vendor for its REFER, raising `ProviderError`; None: no REFER is wanted."""
    patience_s: float
    """How long the vendor's answer may take, and then its REFER."""


class Conversation:
    """One caller and one agent, talking."""

    def __init__(self, judgement: Judgement, clock: TalkClock, transfer: Transfer, log: Any) -> None:
        self._judgement = judgement
        self._clock = clock
        self._transfer = transfer
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._voice = Voice()
        self._failures = 0
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self.transcript: list[Said] = []
        self.decided: Verdict | None = None
        """The last decision taken, whether or not the call ever gets it as a verdict."""
        self.pending: Verdict | None = None
        """The same, until the phone has been tried for it in vain."""

    def phone_failed(self, news: News) -> None:
        """The caller could not be put through: the agent is told, and may decide anew."""
        self.pending = None
        if self._judgement.reopen():
            self._clock.resume(self._loop.time())
            self._jobs.put_nowait(news)

    async def run(self, session: Session) -> None:
        """Talk until cancelled. Losing the session ends the talk, not what was decided in it."""
        self._clock.start(self._loop.time())
        self._judgement.begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(session))
            tasks.create_task(self._keep_limits())
            while True:
                job = await self._jobs.get()
                try:
                    await self._do(job, session, tasks)
                except ProviderError as error:
                    self._log.warning("agent not told", why=str(error))

    async def _listen(self, session: Session) -> None:
        try:
            await session.speak()  # the caller hears nothing until somebody is asked to speak
            async for event in session.events():
                self._take(event)
                self._judgement.change.happened()
        except ProviderError as error:
            self._log.debug("session ended", why=str(error))
        self._judgement.lose("the session was lost")

    async def _keep_limits(self) -> None:
        """Give up when nobody decides, or nobody speaks; while a decision is awaited, and only then."""
        judgement = self._judgement
        while True:
            await judgement.change.until(lambda: judgement.stage is Stage.TALKING)
            due, reason = self._clock.next
            try:
                async with asyncio.timeout_at(due):
                    await judgement.change.next()
            except TimeoutError:
                judgement.give(Undecided(reason))

    def _take(self, event: Event) -> None:
        now = self._loop.time()
        if self._voice.hear(event):
            self._clock.sound(now, going_on=self._voice.anyone_speaks)
        match event:
            case CallerSaid(text):
                self._write("caller", text)
            case CallerPressed(key):
                self._write("caller", f"[pressed {key}]")
            case AgentSaid(text):
                self._write("agent", text)
            case ToolCalled():
                self._jobs.put_nowait(self._judged(event))
            case ResponseEnded():
                self._count_failures(event)
            case Resumed():
                self._voice.forget()
                self._clock.sound(now, going_on=False)
                self._jobs.put_nowait(event)
            case Trouble(code, message):
                self._log.warning("agent reports an error", code=code)
                self._log.debug("agent's error", message=message)

    def _write(self, speaker: str, text: str) -> None:
        self.transcript.append(Said(speaker, text, round(self._loop.time() - self._began, 3)))

    def _judged(self, call: ToolCalled) -> Job:
        """Settle a decision at once, so that nothing comes between; it is carried out in its turn."""
        if self._judgement.stage is not Stage.TALKING:
            return Misused(call, prompt.ALREADY_DECIDED, again=False)
        try:
            decision = parse_decision(call.name, call.arguments)
        except BadDecision as bad:
            self._log.warning("not a decision")
            self._log.debug("not a decision", why=str(bad))  # holds the model's words
            return Misused(call, str(bad), again=True)
        self._log.info("decided", decision=decision.choice.value)
        self.decided = self.pending = VERDICTS[decision.choice](decision.reason, decision.caller_name)
        self._judgement.settle()
        return Decided(call, decision)

    def _count_failures(self, ended: ResponseEnded) -> None:
        """A response that fails leaves the caller in silence: ask once more, then give up."""
        self._failures = self._failures + 1 if ended.status == "failed" else 0
        if self._failures == 1:
            self._jobs.put_nowait(SpeakAgain())
        elif self._failures > 1:
            self._judgement.lose(f"the agent cannot speak: {ended.code}")

    async def _do(self, job: Job, session: Session, tasks: asyncio.TaskGroup) -> None:
        match job:
            case Decided(call, decision):
                await self._carry_out(decision, call, session, tasks)
                return
            case Misused(call, error, again):
                await session.answer(call, {"ok": False, "error": error})
                if not again:
                    return
            case News():
                await session.inform(prompt.phone_news(job))
            case Resumed():
                await session.inform(prompt.RESUMED)
            case SpeakAgain():
                pass
            case _:
                assert_never(job)
        if self._judgement.stage is Stage.TALKING:
            await self._say(session)

    async def _carry_out(
        self, decision: Decision, call: ToolCalled, session: Session, tasks: asyncio.TaskGroup
    ) -> None:
        answer = {"ok": True, "next": prompt.DECIDED[decision.choice]}
        because = (decision.reason, decision.caller_name)
        match decision.choice:
            case Choice.ALLOW:
                await self._last_words(session, call, answer, more=False)
                if not await self._referred(tasks):
                    self._judgement.give(Connect(*because))
            case Choice.REJECT:
                await self._last_words(session, call, answer, more=True)
                self._judgement.give(Decline(*because))
            case Choice.VOICEMAIL:
                await self._last_words(session, call, answer, more=True)
                self._judgement.give(TakeMessage(*because))
            case _:
                assert_never(decision.choice)

    async def _last_words(
        self, session: Session, call: ToolCalled, answer: Mapping[str, object], *, more: bool
    ) -> None:
        """Answer the tool; return when the sentence going on was heard or, if `more`, the one after it.

        A session that is lost meanwhile changes nothing of what was decided.
        """
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await session.answer(call, answer)
                if not more:
                    return await self._until(lambda: self._voice.said(call.response))
                mark = await self._say(session, tools=False)
                await self._until(lambda: self._voice.said_since(mark))

    async def _say(self, session: Session, *, tools: bool = True) -> int:
        """Let the agent speak once it is free: it makes one response at a time. Returns the mark before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self._until(lambda: not self._voice.agent_thinks)
        mark = self._voice.mark()
        await session.speak(tools=tools)
        return mark

    async def _referred(self, tasks: asyncio.TaskGroup) -> bool:
        """Ask for a REFER if one is wanted; say whether it arrived in time (RFC 3515 is the call's business).

        The vendor has been seen to answer 200 and send nothing, to answer 504 after ten seconds, and to send
        the REFER before it answers.
        """
        if self._transfer.refer is None:
            return False
        asked = tasks.create_task(self._ask_for_refer(self._transfer.refer))
        asked.add_done_callback(lambda task: self._judgement.change.happened())
        judgement, patience_s, this_round = self._judgement, self._transfer.patience_s, self._judgement.round

        def arrived() -> bool:  # or even came and went: the phone is busy already
            return judgement.refer_arrived or judgement.round != this_round

        try:
            async with asyncio.timeout(patience_s):
                await judgement.change.until(lambda: arrived() or asked.done())
            if not arrived() and asked.result():
                async with asyncio.timeout(patience_s):
                    await judgement.change.until(arrived)
        except TimeoutError:
            self._log.warning("no REFER in time", patience_s=patience_s)
        return arrived()

    async def _ask_for_refer(self, refer: Callable[[], Awaitable[None]]) -> bool:
        try:
            await refer()
        except ProviderError as error:
            self._log.warning("refer failed", status=error.status, why=str(error))
            return False
        self._log.info("refer accepted")
        return True

    async def _until(self, fact: Callable[[], bool]) -> None:
        await self._judgement.change.until(lambda: fact() or self._judgement.lost is not None)
