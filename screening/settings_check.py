"""Checks of an agent's settings that only the screening can make."""

from __future__ import annotations

from screening.openai import live_session_config, session_config
from screening.openai.session_config import InvalidSession
from screening.settings import OPENAI_LIVE, SIP_AGENT, AgentSettings
from screening.webhook import signing_key


def problems(agent: AgentSettings) -> list[str]:
    """Return a sentence for each problem that would keep this agent from working; empty if there is none."""
    if agent.provider == SIP_AGENT:
        return []
    found: list[str] = []
    try:
        (live_session_config if agent.provider == OPENAI_LIVE else session_config).accept_body(agent)
    except InvalidSession as invalid:
        found += invalid.problems
    try:
        signing_key(agent.webhook_secret)
    except ValueError as error:
        found.append(str(error))
    return found
