"""Screening by a SIP voice agent without an API: it decides by REFER or BYE; only the talk limit is ours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from screening.condition import Condition
from screening.contract import AgentCost, Decline, News, TranscriptLine, Undecided, Verdict
from screening.costs.meter import Meter, unlimited
from screening.settings import ScreeningSettings
from screening.talk.talk_clock import TalkClock


class SipScreening:
    """Implements `contract.Screening` for ``provider = "sip"``; what is said is unknown to us."""

    def __init__(self, limits: ScreeningSettings, meter: Meter | None = None) -> None:
        self._meter = meter or unlimited("", "")
        self._clock = TalkClock(replace(limits, silence_limit_s=math.inf))
        self._changed = Condition()
        self._loop = asyncio.get_running_loop()
        self._talking = False
        self._left = self._left_before = False
        """`_left`: the agent has hung up. `_left_before`: it had done so when the phone turned out not to
        answer.
        """
        self._overruled: Verdict | None = None

    @property
    def transcript(self) -> Sequence[TranscriptLine]:
        return ()

    @property
    def informed_s(self) -> float | None:
        return None

    @property
    def decided(self) -> Verdict | None:
        return self._overruled

    @property
    def spent(self) -> AgentCost | None:
        return self._meter.spent

    async def verdict(self) -> Verdict:
        """Return the user's decision, or `Undecided` at the talk limit, counted from the agent's answer."""
        while True:
            if self._overruled is not None and self._talking:
                self._talking = False
                return self._overruled
            due, reason = self._clock.give_up
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                return Undecided(reason)

    def agent_left(self, lost: str | None = None) -> Verdict:
        """Take the agent's BYE as its rejection, unless the user has just decided.

        Not so if it had already left after its REFER, or if its leg was lost, which says nothing.
        """
        if self._talking and self._overruled is not None:
            return self._overruled
        if self._left_before:
            return Undecided("the agent is not in the call any more")
        return Undecided(lost) if lost is not None else Decline("the agent hung up")

    def tell(self, news: News) -> None:
        """Keep the clock; the agent itself learns about the phone by NOTIFY."""
        match news:
            case News.PHONE_BUSY | News.PHONE_NO_ANSWER | News.PHONE_DECLINED | News.PHONE_UNREACHABLE:
                self._clock.resume(self._loop.time())
                self._talking, self._overruled, self._left_before = True, None, self._left
                self._changed.notify_all()
            case News.AGENT_ANSWERED:
                self._meter.begin()
                self._clock.start(self._loop.time())
                self._talking = True
                self._changed.notify_all()
            case News.AGENT_LEFT:
                self._meter.end()
                self._left = True
            case News.AGENT_CALLED:
                pass
            case News.REFER_ARRIVED | News.CONNECTED | News.CALLER_LEFT:
                self._talking = False
            case _:
                assert_never(news)

    def overrule(self, verdict: Verdict) -> bool:
        """Decide at once: the agent cannot be told, and learns of it from what happens to its call."""
        if not self._talking or self._overruled is not None:
            return False
        self._overruled = verdict
        self._changed.notify_all()
        return True

    def ask(self, text: str) -> bool:
        """Return False: the agent cannot be told anything."""
        return False

    def follow(self, on_line: Callable[[TranscriptLine], None]) -> None:
        """Do nothing: there is no transcript."""

    def over(self, outcome: str) -> None:
        self._meter.close()
