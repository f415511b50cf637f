"""A voice agent without an API: it decides by REFER or BYE alone, and only the talk limit is ours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from screening.condition import Change
from screening.contract import Decline, News, Said, Spent, Undecided, Verdict
from screening.costs.meter import Meter, unlimited
from screening.settings import ScreeningSettings
from screening.talk.talk_clock import TalkClock


class SipScreening:
    """Implements `contract.Screening` for ``provider = "sip"``; nothing of what is said is known to us."""

    def __init__(self, limits: ScreeningSettings, meter: Meter | None = None) -> None:
        self._meter = meter or unlimited("", "")
        self._clock = TalkClock(replace(limits, silence_limit_s=math.inf))
        self._change = Change()
        self._loop = asyncio.get_running_loop()
        self._talking = False
        self._left = self._left_before = False
        """It has hung up; and had, before it was known that no phone took the call."""
        self._overruled: Verdict | None = None

    @property
    def transcript(self) -> Sequence[Said]:
        return ()

    @property
    def informed_s(self) -> float | None:
        return None

    @property
    def decided(self) -> Verdict | None:
        return self._overruled

    @property
    def spent(self) -> Spent | None:
        return self._meter.spent

    async def verdict(self) -> Verdict:
        """Return what the user decides, or `Undecided` at the talk limit, which counts from the answer."""
        while True:
            if self._overruled is not None and self._talking:
                self._talking = False
                return self._overruled
            due, reason = self._clock.next
            try:
                async with asyncio.timeout_at(due):
                    await self._change.next()
            except TimeoutError:
                return Undecided(reason)

    def agent_left(self, lost: str | None = None) -> Verdict:
        """A BYE is how it says no, unless the user has just decided; but not that of one that was done with
        its REFER, and one that is lost has said nothing.
        """
        if self._talking and self._overruled is not None:
            return self._overruled
        if self._left_before:
            return Undecided("the agent is not in the call any more")
        return Undecided(lost) if lost is not None else Decline("the agent hung up")

    def tell(self, news: News) -> None:
        """The agent hears of the phone by NOTIFY; only our clock goes on."""
        match news:
            case News.PHONE_BUSY | News.PHONE_NO_ANSWER | News.PHONE_DECLINED | News.PHONE_UNREACHABLE:
                self._clock.resume(self._loop.time())
                self._talking, self._overruled, self._left_before = True, None, self._left
                self._change.happened()
            case News.AGENT_ANSWERED:
                self._meter.begin()
                self._clock.start(self._loop.time())
                self._talking = True
                self._change.happened()
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
        """Done at once: the agent cannot be told, and hears of it by what becomes of its call."""
        if not self._talking or self._overruled is not None:
            return False
        self._overruled = verdict
        self._change.happened()
        return True

    def ask(self, text: str) -> bool:
        """Nothing can be said to it."""
        return False

    def follow(self, heard: Callable[[Said], None]) -> None:
        """There will be no line."""

    def over(self, outcome: str) -> None:
        self._meter.close()
