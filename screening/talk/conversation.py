"""Drives the agent's session during screening: handles its events, enforces limits, carries out decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, assert_never

from screening.contract import Connect, News, TranscriptLine, Undecided, Verdict
from screening.costs.meter import Meter
from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    CallerPressed,
    CallerSaid,
    Closed,
    ErrorReported,
    Event,
    ProviderError,
    ResponseEnded,
    Resumed,
    Session,
    SpeechDropped,
    ToolCalled,
    UsageReported,
)
from screening.talk import prompt
from screening.talk.briefing import Briefing
from screening.talk.closing import Closing, Transfer
from screening.talk.jobs import (
    AskIfThere,
    BadToolCall,
    Decided,
    DecidedBy,
    DecideNow,
    Job,
    KeysPressed,
    SpeakAgain,
    UserQuestion,
)
from screening.talk.judgement import Judgement, Stage
from screening.talk.keypad import Keypad
from screening.talk.speaking import Speaking
from screening.talk.talk_clock import Due, TalkClock
from screening.talk.tools import DECIDE, BadDecision, Choice, Decision
from screening.talk.transcript import MAX_LINE_CHARS, Transcript
from screening.talk.untrusted_text import plain
from screening.talk.voice_activity import VoiceActivity

BAD_CALLS_FORCED = 3
"""After this many unusable tool calls in a row, the agent is forced to call the decision tool."""
MAX_BAD_CALLS = 6
"""After this many, the screening gives up."""
MAX_ERRORS_LOGGED = 10
"""Errors reported by the vendor that are logged one by one; the rest of a call's are not."""
SUSPENDED_S, CATCH_UP_S = 1.0, 0.25
"""A timer later than `SUSPENDED_S` means the process was suspended: it then takes `CATCH_UP_S` to process
events that arrived meanwhile, before any limit is enforced.
"""
MAX_REASON_CHARS = 120
"""Maximum characters of a vendor's reason."""


class Conversation:
    """One conversation between a caller and the agent."""

    def __init__(
        self,
        judgement: Judgement,
        clock: TalkClock,
        transfer: Transfer,
        log: Any,
        meter: Meter,
        briefing: Briefing | None = None,
    ) -> None:
        self._judgement = judgement
        self._meter = meter
        self._clock = clock
        self._briefing = briefing or Briefing()
        self._closing = Closing(judgement, transfer, log)
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._voice = VoiceActivity()
        jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._jobs = jobs
        self._keypad = Keypad(
            lambda keys: jobs.put_nowait(KeysPressed(keys))
        )  # no reference to self: no cycle
        self._failures = self._bad_calls = self._errors_reported = 0
        self._greeting_protected = self._briefing.uninterruptible
        """A greeting that must not be interrupted is still playing."""
        self._last_decision: Decided | None = None
        self._tried: list[str] = []
        """Names of the destinations tried so far."""
        self._lines = Transcript()
        self.transcript: list[TranscriptLine] = self._lines.lines
        self.decided: Verdict | None = None
        """The last decision made, whether or not the call ever gets it as a verdict."""
        self.pending: Verdict | None = None
        """Likewise, but reset to None when the phone did not answer."""
        self.informed_s: float | None = None
        """When the caller had heard the recording notice, in seconds since the screening began."""
        self.on_line: Callable[[TranscriptLine], None] | None = None
        """Called with every new line of the transcript."""

    def phone_failed(self, news: News) -> None:
        """Tell the agent that the caller could not be put through, and let it decide again."""
        self.pending = None
        if self._judgement.reopen():
            self._clock.resume(self._loop.time())
            self._jobs.put_nowait(news)

    def overrule(self, decision: Decision) -> bool:
        """Apply the user's decision unless one is made already; False if so. The agent is told in turn."""
        if self._judgement.stage is not Stage.TALKING:
            return False
        self._jobs.put_nowait(self._register(Decided(decision, by=DecidedBy.USER)))
        return True

    def ask(self, text: str) -> bool:
        """Have the agent ask the caller something for the user; False if the screening is already decided."""
        if self._judgement.stage is not Stage.TALKING:
            return False
        self._add_line("user", text)
        self._jobs.put_nowait(UserQuestion(text))
        return True

    async def run(self, session: Session) -> None:
        """Run until cancelled. Losing the session ends the conversation, but keeps what was decided in it."""
        self._clock.start(self._loop.time())
        self._judgement.begin()
        speaking = Speaking(session, self._judgement, self._voice)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(speaking))
                tasks.create_task(speaking.repeat_dropped_requests())
                tasks.create_task(self._open(speaking))
                tasks.create_task(self._keep_limits())
                while True:
                    job = await self._jobs.get()
                    try:
                        await self._perform(job, speaking, tasks)
                    except ProviderError as error:
                        self._log.warning("agent not informed", why=str(error))
        except asyncio.CancelledError as cut:  # our task keeps the exception: drop what it refers to
            del tasks
            cut.with_traceback(None)
            raise
        finally:
            self._keypad.close()

    async def _listen(self, speaking: Speaking) -> None:
        opening = self._briefing.opening
        try:
            # The agent says nothing until it is asked to.
            await speaking.say(tools=opening is None, say=opening)
            async for event in speaking.session.events():
                self._on_event(event)
                self._judgement.changed.notify_all()
        except ProviderError as error:
            self._log.debug("session ended", why=str(error))
        self._judgement.lose("the session was lost")

    async def _open(self, speaking: Speaking) -> None:
        """Make sure that the greeting is heard to its end, if it holds the recording notice."""
        opening = self._briefing.opening
        if not self._greeting_protected or opening is None:
            return
        if await speaking.ensure_heard(opening):
            self.informed_s = round(self._loop.time() - self._began, 3)
            self._log.info("caller informed")
        self._greeting_protected = False

    async def _keep_limits(self) -> None:
        """Enforce the talk and silence limits while a decision is awaited."""
        judgement, clock = self._judgement, self._clock
        while True:
            await judgement.changed.wait_for(lambda: judgement.stage is Stage.TALKING)
            at, due = clock.next_due
            since = self._loop.time()
            try:
                async with asyncio.timeout_at(at):
                    await judgement.changed.wait()
            except TimeoutError:
                if at is not None and self._loop.time() - max(at, since) > SUSPENDED_S:
                    await asyncio.sleep(CATCH_UP_S)
                    if judgement.stage is not Stage.TALKING or clock.next_due != (at, due):
                        continue
                match due:
                    case Due.GIVE_UP:
                        judgement.give(Undecided(clock.give_up[1]))
                    case Due.DECIDE_NOW:
                        self._log.info("agent asked to decide")
                        self._jobs.put_nowait(DecideNow())
                    case Due.ASK_IF_THERE:
                        self._jobs.put_nowait(AskIfThere())
                clock.acted_on(due)

    def _on_event(self, event: Event) -> None:
        now = self._loop.time()
        if self._voice.process(event):
            caller = isinstance(event, CallerBegan | CallerPaused)
            self._clock.sound(now, going_on=self._voice.anyone_speaks, caller=caller)
        match event:
            case CallerSaid(text):
                self._add_line("caller", text)
            case CallerPressed(key):
                self._add_line("caller", f"[pressed {key}]")
                self._clock.sound(now, going_on=self._voice.anyone_speaks, caller=True)
                self._on_key(key)
            case AgentSaid(text):
                self._add_line("agent", text)
            case ToolCalled():
                self._jobs.put_nowait(self._on_tool_call(event))
            case ResponseEnded(_, status, code):
                self._count_failures(status == "failed", code)
            case Resumed():
                self._voice.forget()
                self._clock.sound(now, going_on=False)
                self._jobs.put_nowait(event)
            case SpeechDropped():
                self._log.debug("agent spoke already")
            case ErrorReported(code, speech_failed=speech_failed):
                self._log_error(event)
                if speech_failed:
                    self._count_failures(True, code, never_begun=True)
            case Closed(why):
                why = plain(why, MAX_REASON_CHARS)
                self._log.info("session closed", why=why)
                self._judgement.lose(why)
            case UsageReported():
                self._count(event)

    def _log_error(self, error: ErrorReported) -> None:
        """Log only the first few, so that thousands of errors do not fill the disk."""
        self._errors_reported += 1
        if self._errors_reported <= MAX_ERRORS_LOGGED:
            self._log.warning("agent reports an error", code=plain(error.code, MAX_REASON_CHARS))
            self._log.debug("agent's error", message=error.message[:MAX_LINE_CHARS])
        elif self._errors_reported == MAX_ERRORS_LOGGED + 1:
            self._log.warning("agent reports more errors, which are not logged")

    def _count(self, used: UsageReported) -> None:
        """Add up usage; a conversation that has used up the call's budget ends without a decision."""
        self._meter.count(used)
        if self._judgement.stage is Stage.TALKING and (why := self._meter.exceeded):
            self._judgement.give(Undecided(why))

    def _add_line(self, speaker: str, text: str) -> None:
        if not text:  # a cough gives an empty transcript
            return
        full = self._lines.full
        said = self._lines.add(speaker, text, round(self._loop.time() - self._began, 3))
        if said is None:
            if not full:
                self._log.warning("transcript full: what is said from now on is not kept")
        elif self.on_line is not None:
            self.on_line(said)

    def _on_key(self, key: str) -> None:
        """A configured key decides at once; any other is reported to the agent."""
        if self._judgement.stage is not Stage.TALKING:
            return
        wanted = self._briefing.keys.get(key)
        if wanted is None:
            return self._keypad.pressed(key)
        reason = f"the caller pressed {key}"
        choice = Choice.VOICEMAIL if wanted == "voicemail" else Choice.ALLOW
        named = wanted if wanted not in ("voicemail", "connect") else None
        self._jobs.put_nowait(
            self._register(Decided(Decision(choice, reason, to=named), by=DecidedBy.CALLER))
        )

    def _on_tool_call(self, call: ToolCalled) -> Job:
        """Register a decision at once, so that nothing comes in between; the job carries it out in turn."""
        if self._judgement.stage is not Stage.TALKING:
            return self._too_late(call)
        try:
            decision = self._briefing.tools.read(call.name, call.arguments)
        except BadDecision as bad:
            self._log.warning("not a decision")
            self._log.debug("not a decision", why=str(bad))  # contains the model's words
            self._bad_calls += 1
            if self._bad_calls == MAX_BAD_CALLS:
                self._judgement.give(Undecided("the agent keeps misusing its tools"))
            return BadToolCall(call, str(bad), again=True)
        return self._register(Decided(decision, call))

    def _too_late(self, call: ToolCalled) -> BadToolCall:
        """Refuse a tool call after the decision, but keep a message that comes with it."""
        with suppress(BadDecision):
            written = self._briefing.tools.read(call.name, call.arguments)
            if self._last_decision is not None and self._last_decision.merge_message(written):
                self.decided = self.pending = self._last_decision.decision.verdict
                self._log.info("message taken beside the decision")
        return BadToolCall(call, prompt.ALREADY_DECIDED, again=False)

    def _register(self, decided: Decided) -> Decided:
        self._log.info("decided", decision=decided.decision.choice.value, by=decided.by)
        self._bad_calls, self._last_decision = 0, decided
        self.decided = self.pending = decided.decision.verdict
        if isinstance(self.decided, Connect) and self.decided.to is not None:
            self._tried.append(self.decided.to)
        self._judgement.settle()
        return decided

    def _count_failures(self, failed: bool, code: str | None, *, never_begun: bool = False) -> None:
        """After a failed response, which leaves the caller in silence, ask once more; after the second, give
        up.

        A failed greeting that must be heard is retried by `Speaking.ensure_heard`, if it was begun at all.
        """
        self._failures = self._failures + 1 if failed else 0
        if self._failures == 1 and (never_begun or not self._greeting_protected):
            self._jobs.put_nowait(SpeakAgain())
        elif self._failures > 1:
            self._judgement.lose(f"the agent cannot speak: {plain(str(code), MAX_REASON_CHARS)}")

    async def _perform(self, job: Job, speaking: Speaking, tasks: asyncio.TaskGroup) -> None:
        session = speaking.session
        match job:
            case Decided():
                return await self._closing.carry_out(job, speaking, tasks)
            case BadToolCall(call, error, again):
                await session.send_tool_result(call, {"ok": False, "error": error})
                if not again:
                    return
            case UserQuestion(text):
                if self._judgement.stage is not Stage.TALKING:
                    return  # decided in the meantime
                await session.inform(prompt.user_asks(text))
            case News():
                await session.inform(prompt.phone_news(job, self._briefing.tools, self._tried))
            case Resumed():
                await session.inform(prompt.RESUMED)
            case KeysPressed(keys):
                await session.inform(prompt.pressed(keys))
            case AskIfThere():
                await session.inform(prompt.STILL_THERE)
            case DecideNow():
                await session.inform(prompt.DECIDE_NOW)
            case SpeakAgain():
                pass
            case _:
                assert_never(job)
        if self._judgement.stage is Stage.TALKING:
            await self._respond(job, speaking)

    async def _respond(self, job: Job, speaking: Speaking) -> None:
        """Have the agent speak; or force a decision, if it was told to decide or keeps misusing its tools."""
        opening = self._briefing.opening
        if self._clock.told_to_decide or self._bad_calls >= BAD_CALLS_FORCED:
            await speaking.say(must_call=DECIDE)
        elif isinstance(job, SpeakAgain) and opening is not None and not self._voice.heard_since(0):
            await speaking.say(tools=False, say=opening)
        elif isinstance(job, SpeakAgain):
            await speaking.answer_caller()
        else:
            await speaking.say(tools=not isinstance(job, AskIfThere))
