from __future__ import annotations

from collections.abc import Mapping

import httpx2
import pytest

from screening.openai.azure import AzureRealtime
from screening.provider import ProviderError
from screening.settings import AgentSettings
from tests.screening.openai.test_rest import Api
from tests.screening.wire import Wire

AGENT = AgentSettings(
    "a",
    "azure-realtime",
    api_key="azure-key",
    model="my-deployment",
    transcription=None,
    project="proj_1",
    api_base="https://door.openai.azure.com/openai/v1",
)


def provider(api: Api) -> AzureRealtime:
    return AzureRealtime(AGENT, httpx2.AsyncClient(transport=httpx2.MockTransport(api)))


async def test_azure_requests_go_to_the_resource_with_the_api_key_header() -> None:
    api = Api(httpx2.Response(200))
    azure = provider(api)
    await azure.accept("rtc_1")
    await azure.refer("rtc_1", "tel:+14155550123")
    base = "https://door.openai.azure.com/openai/v1/realtime/calls/rtc_1"
    assert [str(request.url) for request in api.requests] == [f"{base}/accept", f"{base}/refer"]
    assert {request.headers["api-key"] for request in api.requests} == {"azure-key"}
    assert not {"authorization", "openai-project"} & set(api.requests[0].headers)


async def test_the_azure_websocket_uses_the_resource_and_the_api_key_header() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    async def dial(url: str, headers: Mapping[str, str]) -> Wire:
        asked.append((url, headers))
        return Wire()

    azure = AzureRealtime(AGENT, dial=dial)  # type: ignore[arg-type]
    async with azure.attach("rtc_1"):
        url = "wss://door.openai.azure.com/openai/v1/realtime?call_id=rtc_1"
        assert asked == [(url, {"api-key": "azure-key"})]
    await azure.close()


async def test_azure_errors_name_azure_openai() -> None:
    with pytest.raises(ProviderError, match="refer: Azure OpenAI answered 401: the API key is not valid"):
        await provider(Api(httpx2.Response(401))).refer("rtc_1", "tel:+1")
    with pytest.raises(ProviderError, match="refer: Azure OpenAI not reached: no route"):
        await provider(Api(httpx2.ConnectError("no route"))).refer("rtc_1", "tel:+1")
