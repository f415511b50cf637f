"""The agent is asked to speak, and heard out: one response at a time, and none waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from screening.provider import ProviderError, Session, ToolCalled
from screening.talk.judgement import Judgement
from screening.talk.voice import Voice

HEARD_LIMIT_S = 8.0
"""How long a sentence is waited for, to be said and heard, before it is no longer waited for."""
GREETING_LIMIT_S = 20.0
"""The same for a greeting, which may be longer."""
MOST_GREETINGS = 3
"""How often a greeting is begun that has to be heard, and is interrupted."""


class Speaking:
    """The agent's end of one session."""

    def __init__(self, session: Session, judgement: Judgement, voice: Voice) -> None:
        self.session = session
        self._judgement, self._voice = judgement, voice

    async def say(self, *, tools: bool = True, say: str | None = None, must: str | None = None) -> int:
        """Let the agent speak once it is free: it makes one response at a time. Returns the mark before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.until(lambda: not self._voice.agent_thinks)
        mark = self._voice.mark()
        await self.session.speak(tools=tools, say=say, must=must)
        return mark

    async def last_words(self, call: ToolCalled, answer: Mapping[str, object], *, more: bool) -> None:
        """Answer the tool; return when the sentence going on was heard or, if `more`, the one after it.

        A session that is lost meanwhile changes nothing of what was decided.
        """
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.session.answer(call, answer)
                if not more:
                    return await self.until(lambda: self._voice.said(call.response))
                mark = await self.say(tools=False)
                await self.until(lambda: self._voice.said_since(mark))

    async def words_for_user(self, told: str, *, more: bool) -> None:
        """Tell the agent what was decided in its place; if `more`, return when it has said so.

        A sentence going on is none about that, and is not waited for.
        """
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(HEARD_LIMIT_S):
                await self.session.inform(told)
                if more:
                    mark = await self.say(tools=False)
                    await self.until(lambda: self._voice.said_since(mark))

    async def hear_out(self, greeting: str) -> bool:
        """The greeting is being said: begin it again where it is cut off, then let the caller interrupt.

        Returns whether it was heard to its end.
        """
        heard, mark = False, 0
        with suppress(TimeoutError, ProviderError):
            for attempt in range(MOST_GREETINGS):
                if attempt:
                    mark = await self.say(tools=False, say=greeting)
                async with asyncio.timeout(GREETING_LIMIT_S):
                    await self.until(lambda: self._voice.said_since(mark))  # noqa: B023
                if heard := self._voice.heard_since(mark):
                    break
        with suppress(ProviderError):
            await self.session.let_interrupt()
            if heard and self._voice.unanswered(mark):
                await self.say()
        return heard

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact, or until there is no session any more."""
        await self._judgement.change.until(lambda: fact() or self._judgement.lost is not None)
