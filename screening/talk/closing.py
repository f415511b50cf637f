"""Carrying out a decision: the agent's last words, the vendor's REFER, the verdict for the call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from screening.provider import ProviderError
from screening.talk import prompt
from screening.talk.jobs import Decided, DecidedBy
from screening.talk.judgement import Judgement
from screening.talk.speaking import Speaking
from screening.talk.tools import Choice


@dataclass(frozen=True, slots=True)
class Transfer:
    """How an allowed caller is transferred to the phone."""

    refer: Callable[[str | None], Awaitable[None]] | None
    """Requests a REFER to a named destination, or None for the number's own target; raises `ProviderError`.
    None if no REFER is wanted.
    """
    patience_s: float
    """How long the vendor may take to answer, and then again to send the REFER."""


class Closing:
    """Carries out the decisions of one caller's screening."""

    def __init__(self, judgement: Judgement, transfer: Transfer, log: Any) -> None:
        self._judgement, self._transfer, self._log = judgement, transfer, log

    async def carry_out(self, decided: Decided, speaking: Speaking, tasks: asyncio.TaskGroup) -> None:
        """Let the agent say its last words, then give the verdict, unless a REFER does."""
        more = decided.decision.choice is not Choice.ALLOW
        if decided.call is not None:
            await speaking.last_words(
                decided.call, lambda: {"ok": True, "next": prompt.decided(decided.decision)}, more=more
            )
        elif decided.by is DecidedBy.USER:
            await speaking.announce_user_decision(prompt.OVERRULED[decided.decision.choice], more=more)
        if more or not await self._referred(decided.decision.to, tasks):
            decided.delivered = True
            self._judgement.give(decided.decision.verdict)

    async def _referred(self, to: str | None, tasks: asyncio.TaskGroup) -> bool:
        """Request a REFER if one is wanted; return whether it arrived in time.

        The vendor has been seen to answer 200 and send nothing, to answer 504 after ten seconds, and to send
        the REFER before it answers. The REFER itself is handled by the call (RFC 3515).
        """
        if self._transfer.refer is None:
            return False
        asked = tasks.create_task(self._ask_for_refer(self._transfer.refer, to))
        asked.add_done_callback(lambda task: self._judgement.changed.notify_all())
        judgement, patience_s, this_round = self._judgement, self._transfer.patience_s, self._judgement.round

        def arrived() -> bool:  # or has already been acted on, and the phone was busy
            return judgement.refer_arrived or judgement.round != this_round

        try:
            async with asyncio.timeout(patience_s):
                await judgement.changed.wait_for(lambda: arrived() or asked.done())
            if not arrived() and asked.result():
                async with asyncio.timeout(patience_s):
                    await judgement.changed.wait_for(arrived)
        except TimeoutError:
            self._log.warning("no REFER in time", patience_s=patience_s)
        return arrived()

    async def _ask_for_refer(self, refer: Callable[[str | None], Awaitable[None]], to: str | None) -> bool:
        try:
            await refer(to)
        except ProviderError as error:
            self._log.warning("refer failed", status=error.status, why=str(error))
            return False
        self._log.info("refer accepted")
        return True
