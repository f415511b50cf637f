from __future__ import annotations

import pytest

from screening.openai.azure import AzureRealtime
from screening.openai.live import OpenAILive
from screening.openai.realtime import OpenAIRealtime
from screening.providers import api_of, provider_of
from screening.settings import PROVIDERS, SIP_AGENT, AgentSettings
from screening.webhook import Api


@pytest.mark.parametrize(
    ("name", "adapter", "api"),
    [
        ("openai-realtime", OpenAIRealtime, Api.REALTIME),
        ("openai-live", OpenAILive, Api.LIVE),
        ("azure-realtime", AzureRealtime, Api.REALTIME),
    ],
)
async def test_each_provider_has_its_adapter_and_webhook_api(name: str, adapter: type, api: Api) -> None:
    agent = AgentSettings("a", name)
    provider = provider_of(agent)
    assert type(provider) is adapter
    assert api_of(agent) is api
    await provider.close()


async def test_every_provider_except_sip_has_an_adapter() -> None:
    for name in set(PROVIDERS) - {SIP_AGENT}:
        await provider_of(AgentSettings("a", name)).close()
