"""A voice agent without an API: it decides by REFER or BYE alone, and only the talk limit is ours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from screening.change import Change
from screening.contract import Decline, News, Said, Spent, Undecided, Verdict
from screening.costs.meter import Meter, unlimited
from screening.settings import ScreeningSettings
from screening.talk_clock import TalkClock


class SipScreening:
    """Implements `contract.Screening` for ``provider = "sip"``; nothing of what is said is known to us."""

    def __init__(self, limits: ScreeningSettings, meter: Meter | None = None) -> None:
        self._meter = meter or unlimited("", "")
        self._clock = TalkClock(replace(limits, silence_limit_s=math.inf))
        self._change = Change()
        self._loop = asyncio.get_running_loop()

    @property
    def transcript(self) -> Sequence[Said]:
        return ()

    @property
    def informed_s(self) -> float | None:
        return None

    @property
    def decided(self) -> Verdict | None:
        return None

    @property
    def spent(self) -> Spent | None:
        return self._meter.spent

    async def verdict(self) -> Verdict:
        """Return `Undecided` at the talk limit, which counts from the agent's answer."""
        while True:
            due, reason = self._clock.next
            try:
                async with asyncio.timeout_at(due):
                    await self._change.next()
            except TimeoutError:
                return Undecided(reason)

    def agent_left(self) -> Verdict:
        """A BYE is how it says no."""
        return Decline("the agent hung up")

    def tell(self, news: News) -> None:
        """The agent hears of the phone by NOTIFY; only our clock goes on."""
        match news:
            case News.PHONE_BUSY | News.PHONE_NO_ANSWER | News.PHONE_DECLINED | News.PHONE_UNREACHABLE:
                self._clock.resume(self._loop.time())
                self._change.happened()
            case News.AGENT_ANSWERED:
                self._meter.begin()
                self._clock.start(self._loop.time())
                self._change.happened()
            case News.AGENT_LEFT:
                self._meter.end()
            case News.REFER_ARRIVED | News.CONNECTED | News.CALLER_LEFT:
                pass
            case _:
                assert_never(news)

    def over(self, outcome: str) -> None:
        self._meter.close()
