"""The agent of one call: it is called, and says what is to be done with the caller."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from proxy.call.identity import Introduction
from proxy.call.journal import Scribe
from proxy.call.outcome import NOT_TAKEN
from proxy.call.routing import Agent, Destination
from proxy.call.transfer import Transfers
from proxy.call.waiting import EndOf, first
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.scope import limit
from screening.contract import Ask, News, Screening, Undecided, Verdict


async def call_agent(
    agent: Leg, called: Agent, ask: Ask, introduction: Introduction, scribe: Scribe
) -> str | None:
    """Have the agent answer; returns why it does not, as soon as that is known, or None."""
    outgoing = introduction.to_agent(called, ask.headers)
    ask.screening.tell(News.AGENT_CALLED)
    waits: tuple[Coroutine[Any, Any, Verdict | None], ...] = (
        ask.screening.verdict(),  # the first named: it is handed out once, and the answer is not lost
        agent.invite(outgoing),
    )
    try:
        async with limit(agent.core.alarms, ask.patience_s, EndReason.NO_ANSWER):
            verdict = await first(*waits)
    except NOT_TAKEN as failure:
        scribe.not_taken("agent", failure)
        why = f"the agent did not take the call: {failure}"
    else:
        if verdict is None:
            scribe.answered("agent")
            ask.screening.tell(News.AGENT_ANSWERED)
            return None
        # The screening cannot even begin; any other verdict's reason is a person's words.
        why = verdict.reason if isinstance(verdict, Undecided) else "the agent decided before it answered"
    agent.end(EndReason.NO_ANSWER)
    return why


async def wanted(agent: Leg, screening: Screening, transfers: Transfers) -> Destination | Verdict:
    """The first of what a REFER selects, the screening's verdict, and the end of the agent's leg."""
    refer = transfers.wanted(agent, screening)
    return await first(refer, screening.verdict(), _left(agent, screening, transfers))


async def _left(agent: Leg, screening: Screening, transfers: Transfers) -> Destination | Verdict:
    """The agent is gone, perhaps with a REFER right before its BYE."""
    end = await EndOf(agent)
    refer = agent.refer_waiting()
    place = transfers.selected(refer, screening) if refer is not None else None
    lost = None if end is EndReason.HUNG_UP else f"the agent is gone: {end.text}"
    return place or screening.agent_left(lost)
