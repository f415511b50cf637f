"""Which adapter serves which agent, and which API's webhook announces its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from screening.openai.azure import AzureRealtime
from screening.openai.live import OpenAILive
from screening.openai.realtime import OpenAIRealtime
from screening.provider import Provider
from screening.settings import AZURE_REALTIME, OPENAI_LIVE, OPENAI_REALTIME, AgentSettings
from screening.webhook import Api

_ADAPTERS: Mapping[str, Callable[[AgentSettings], Provider]] = {
    OPENAI_REALTIME: OpenAIRealtime,
    OPENAI_LIVE: OpenAILive,
    AZURE_REALTIME: AzureRealtime,
}


def provider_of(agent: AgentSettings) -> Provider:
    """Return the adapter of an agent that has an API; raises ValueError for settings that cannot work."""
    return _ADAPTERS[agent.provider](agent)


def api_of(agent: AgentSettings) -> Api:
    """Return the API whose webhook announces this agent's calls."""
    return Api.LIVE if agent.provider == OPENAI_LIVE else Api.REALTIME
