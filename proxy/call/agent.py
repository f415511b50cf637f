"""Calls the agent of one call, and waits for what it decides."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from proxy.call.context import CallContext
from proxy.call.invite_builder import InviteBuilder
from proxy.call.journal import Journal
from proxy.call.outcome import NOT_TAKEN
from proxy.call.routing import Agent, Destination
from proxy.call.transfer import Transfers
from proxy.call.waiting import EndOf, first_of
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.scope import limit
from screening.contract import Ask, Caller, News, Screener, Screening, Undecided, Verdict


async def call_agent(
    agent: Leg,
    configured: Agent,
    ask: Ask,
    invite_builder: InviteBuilder,
    journal: Journal,
    context: CallContext,
) -> str | None:
    """Call the agent unless it is down; returns None once it has answered, else why it takes no call."""
    if context.down(f"agent:{configured.name}"):
        return "the agent is down: it fails its probes"
    problem = await _call(agent, configured, ask, invite_builder, journal)
    if problem is None:
        context.agents.answered(configured)
    else:
        context.agents.failed(configured)
    return problem


def ask_of_backup(agents: list[Agent], caller: Caller, screener: Screener) -> Ask | None:
    """How to ask the next of these agents; None if none can be asked. Those that cannot are removed."""
    while agents:
        plan = screener.ask(replace(caller, agent=agents[0].name))
        if isinstance(plan, Ask):
            return plan
        del agents[0]
    return None


async def _call(
    agent: Leg, configured: Agent, ask: Ask, invite_builder: InviteBuilder, journal: Journal
) -> str | None:
    outgoing = invite_builder.to_agent(configured, ask.headers)
    ask.screening.tell(News.AGENT_CALLED)
    waits: tuple[Coroutine[Any, Any, Verdict | None], ...] = (
        ask.screening.verdict(),  # named first: if both come in one tick, a verdict is handed out only once
        agent.invite(outgoing),
    )
    try:
        async with limit(agent.core.timer_queue, ask.patience_s, EndReason.NO_ANSWER):
            verdict = await first_of(*waits)
    except NOT_TAKEN as failure:
        journal.leg_failed("agent", failure)
        why = f"the agent did not take the call: {failure}"
    else:
        if verdict is None:
            journal.answered("agent")
            ask.screening.tell(News.AGENT_ANSWERED)
            return None
        # Undecided: the screening cannot even begin. The reason of any other verdict is a person's words.
        why = verdict.reason if isinstance(verdict, Undecided) else "the agent decided before it answered"
    agent.end(EndReason.NO_ANSWER)
    return why


async def next_decision(agent: Leg, screening: Screening, transfers: Transfers) -> Destination | Verdict:
    """Wait for the agent's next decision: a REFER, a verdict of the screening, or the end of its leg."""
    refer = transfers.next_destination(agent, screening)
    return await first_of(refer, screening.verdict(), _after_agent_left(agent, screening, transfers))


async def _after_agent_left(agent: Leg, screening: Screening, transfers: Transfers) -> Destination | Verdict:
    """Wait for the end of the agent's leg; a REFER that came right before its BYE still counts."""
    end = await EndOf(agent)
    refer = agent.refer_waiting()
    destination = transfers.accept(refer, screening) if refer is not None else None
    lost = None if end is EndReason.HUNG_UP else f"the agent is gone: {end.text}"
    return destination or screening.agent_left(lost)
