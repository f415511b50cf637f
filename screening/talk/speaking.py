"""The agent is asked to speak, and heard out: one response at a time, and none waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from screening.provider import ProviderError, Session, ToolCalled
from screening.talk.judgement import Judgement
from screening.talk.voice_activity import Voice

HEARD_LIMIT_S = 8.0
"""How long a sentence is waited for, to be said and heard, before it is no longer waited for."""
LONG_LIMIT_S = 20.0
"""The same for a greeting, or what comes before a goodbye (a message read back, say): they may be longer."""
MAX_ASKED_AGAIN = 20
"""So often in a session is the agent asked again for what it was not free to say."""
MAX_GREETINGS = 3
"""How often a greeting is begun that has to be heard, and is interrupted."""

Asked = tuple[bool, str | None, str | None]
"""Whether with tools, what is to be said, which tool is to be called: see `Session.speak`."""
ANYTHING: Asked = (True, None, None)


class Speaking:
    """The agent's end of one session."""

    def __init__(self, session: Session, judgement: Judgement, voice: Voice) -> None:
        self.session = session
        self._judgement, self._voice = judgement, voice
        self._asked: Asked | None = None
        """What the agent was asked for last, if it is to be asked for again."""
        self._asked_in = judgement.stage

    async def say(self, *, tools: bool = True, say: str | None = None, must: str | None = None) -> int:
        """Let the agent speak once it is free: it makes one response at a time. Returns the mark before."""
        return await self._ask((tools, say, must))

    async def answer_caller(self) -> None:
        """Let the agent speak of what it has heard; a response that it makes by itself does as well."""
        await self._ask(ANYTHING, again=False)

    async def _ask(self, asked: Asked, *, again: bool = True) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.until(lambda: not self._voice.agent_thinks and not self._voice.crossed)
        mark = self._voice.mark()
        self._asked, self._asked_in = asked if again else None, self._judgement.stage
        await self._speak(asked)
        return mark

    async def _speak(self, asked: Asked) -> None:
        tools, say, must = asked
        await self.session.speak(tools=tools, say=say, must=must)

    async def ask_again(self) -> None:
        """Have the agent say, as soon as it is free, what it was asked for just when it spoke by itself.

        A caller who speaks makes the vendor answer: its word of that and ours may cross. What was asked for
        before a decision is not asked for after it.
        """
        for _ in range(MAX_ASKED_AGAIN):
            await self.until(lambda: self._voice.to_ask_again)
            if self._judgement.lost is not None:
                return
            self._voice.asked_again()
            if self._asked is not None and self._asked_in is self._judgement.stage:
                with suppress(ProviderError):  # whoever listens to the session finds out
                    await self._speak(self._asked)

    async def last_words(
        self, call: ToolCalled, answer: Callable[[], Mapping[str, object]], *, more: bool
    ) -> None:
        """Answer the tool; return when the sentence going on was heard or, if `more`, the one after it.

        What else is called in the response may change the `answer`, which waits for that, but not for ever.
        A session that is lost meanwhile changes nothing of what was decided.
        """
        if more:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARD_LIMIT_S):
                    await self.until(lambda: not self._voice.agent_thinks)
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.session.answer(call, answer())
                if not more:
                    return await self.until(lambda: self._voice.said(call.response))
            await self._goodbye()

    async def words_for_user(self, told: str, *, more: bool) -> None:
        """Tell the agent what was decided in its place; if `more`, return when it has said so.

        A sentence going on is none about that.
        """
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.session.inform(told)
            if more:
                await self._goodbye()

    async def _goodbye(self) -> None:
        """Have the agent say what it was told to; return when it was heard.

        A response is made faster than it is said: one asked for while another is heard would wait behind
        that, and be cut off with it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LONG_LIMIT_S):
                await self.until(lambda: not (self._voice.agent_thinks or self._voice.agent_speaks))
        async with asyncio.timeout(HEARD_LIMIT_S):
            mark = await self.say(tools=False)
            await self.until(lambda: self._voice.said_since(mark))

    async def hear_out(self, greeting: str) -> bool:
        """The greeting is being said: begin it again where it is cut off, then let the caller interrupt.

        Returns whether it was heard to its end.
        """
        heard, mark = False, 0
        with suppress(TimeoutError, ProviderError):
            for attempt in range(MAX_GREETINGS):
                if attempt:
                    mark = await self.say(tools=False, say=greeting)
                async with asyncio.timeout(LONG_LIMIT_S):
                    await self.until(lambda: self._voice.said_since(mark))  # noqa: B023
                mark = self._voice.since(mark)
                if heard := self._voice.heard_since(mark):
                    break
        with suppress(ProviderError):
            await self.session.let_interrupt()
            if heard and self._voice.unanswered(mark):
                await self.answer_caller()
        return heard

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact, or until there is no session any more."""
        await self._judgement.change.until(lambda: fact() or self._judgement.lost is not None)
