"""Makes the agent speak, and waits until it was heard: one response at a time, always with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from screening.provider import ProviderError, Session, ToolCalled
from screening.talk.judgement import Judgement
from screening.talk.voice_activity import VoiceActivity

SENTENCE_LIMIT_S = 8.0
"""How long to wait for a sentence to be generated and played."""
SPEECH_LIMIT_S = 20.0
"""Likewise for a greeting, or for speech before a goodbye (say, a message read back): these may be longer."""
MAX_REPEATED_REQUESTS = 20
"""Maximum repeats per session of requests that the agent was not free to answer."""
MAX_GREETINGS = 3
"""Attempts at a greeting that must be heard but is interrupted."""

SpeechRequest = tuple[bool, str | None, str | None]
"""The arguments `tools`, `say` and `must_call` of `Session.speak`."""
ANY_RESPONSE: SpeechRequest = (True, None, None)


class Speaking:
    """Requests speech in one session."""

    def __init__(self, session: Session, judgement: Judgement, voice: VoiceActivity) -> None:
        self.session = session
        self._judgement, self._voice = judgement, voice
        self._last_request: SpeechRequest | None = None
        """The last request, if it is to be repeated when dropped."""
        self._requested_in = judgement.stage

    async def say(self, *, tools: bool = True, say: str | None = None, must_call: str | None = None) -> int:
        """Request speech once the agent is free, as it makes one response at a time. Returns the mark before
        it.
        """
        return await self._ask((tools, say, must_call))

    async def answer_caller(self) -> None:
        """Have the agent respond to what it heard; a response it makes by itself will do as well."""
        await self._ask(ANY_RESPONSE, again=False)

    async def _ask(self, request: SpeechRequest, *, again: bool = True) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(SENTENCE_LIMIT_S):
                await self.until(lambda: not self._voice.agent_generating and not self._voice.speech_dropped)
        mark = self._voice.mark()
        self._last_request, self._requested_in = request if again else None, self._judgement.stage
        await self._speak(request)
        return mark

    async def _speak(self, request: SpeechRequest) -> None:
        tools, say, must_call = request
        await self.session.speak(tools=tools, say=say, must_call=must_call)

    async def repeat_dropped_requests(self) -> None:
        """Repeat, as soon as the agent is free, a request that was dropped because it just spoke by itself.

        The vendor answers a caller who speaks; its notice of that and our request may cross. A request made
        before a decision is not repeated after it.
        """
        for _ in range(MAX_REPEATED_REQUESTS):
            await self.until(lambda: self._voice.should_ask_again)
            if self._judgement.lost is not None:
                return
            self._voice.asked_again()
            if self._last_request is not None and self._requested_in is self._judgement.stage:
                with suppress(ProviderError):  # the reader of the session notices
                    await self._speak(self._last_request)

    async def last_words(
        self, call: ToolCalled, answer: Callable[[], Mapping[str, object]], *, more: bool
    ) -> None:
        """Answer the tool call; return when the current sentence was heard or, if `more`, the one after it.

        Other tool calls in the same response may change the `answer`, so wait for its end, within a limit.
        Losing the session meanwhile changes nothing about the decision.
        """
        if more:
            with suppress(TimeoutError):
                async with asyncio.timeout(SENTENCE_LIMIT_S):
                    await self.until(lambda: not self._voice.agent_generating)
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(SENTENCE_LIMIT_S):
                await self.session.send_tool_result(call, answer())
                if not more:
                    return await self.until(lambda: self._voice.finished(call.response))
            await self._goodbye()

    async def announce_user_decision(self, notice: str, *, more: bool) -> None:
        """Tell the agent what was decided in its place; if `more`, return when it has said so.

        A sentence already begun does not count.
        """
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(SENTENCE_LIMIT_S):
                await self.session.inform(notice)
            if more:
                await self._goodbye()

    async def _goodbye(self) -> None:
        """Have the agent say goodbye; return when it was heard.

        A response is generated faster than it plays: one requested while another plays would queue behind it,
        and be cut off with it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SPEECH_LIMIT_S):
                await self.until(lambda: not (self._voice.agent_generating or self._voice.agent_speaks))
        async with asyncio.timeout(SENTENCE_LIMIT_S):
            mark = await self.say(tools=False)
            await self.until(lambda: self._voice.finished_since(mark))

    async def ensure_heard(self, greeting: str) -> bool:
        """Wait until the greeting was heard, restarting it if cut off; then let the caller interrupt the
        agent.

        Returns whether it was heard to its end.
        """
        heard, mark = False, 0
        with suppress(TimeoutError, ProviderError):
            for attempt in range(MAX_GREETINGS):
                if attempt:
                    mark = await self.say(tools=False, say=greeting)
                async with asyncio.timeout(SPEECH_LIMIT_S):
                    await self.until(lambda: self._voice.finished_since(mark))  # noqa: B023
                mark = self._voice.effective_mark(mark)
                if heard := self._voice.heard_since(mark):
                    break
        with suppress(ProviderError):
            await self.session.allow_interruption()
            if heard and self._voice.awaits_answer(mark):
                await self.answer_caller()
        return heard

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until `fact` holds or the session is lost."""
        await self._judgement.changed.wait_for(lambda: fact() or self._judgement.lost is not None)
