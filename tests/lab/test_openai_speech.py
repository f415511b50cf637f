"""The simulated OpenAI speech endpoint, including the requests it refuses."""

from __future__ import annotations

import httpx2
import pytest

from proxy.lab.openai_api import OpenAiLab
from proxy.media.wav import read_wav

pytestmark = pytest.mark.network

ASKED = {"model": "gpt-4o-mini-tts", "input": "Hello, Grace", "voice": "alloy", "response_format": "wav"}


async def post(fields: dict[str, object], key: str = "sk-lab") -> httpx2.Response:
    async with OpenAiLab("sk-lab", "whsec_", "") as lab, httpx2.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {key}"}
        return await http.post(f"{lab.base_url}/audio/speech", headers=headers, json=fields)


async def test_a_speech_request_returns_a_wav_as_long_as_its_text() -> None:
    answer = await post(ASKED)
    sound = read_wav(answer.content)
    assert answer.headers["content-type"] == "audio/wav"
    assert len(sound.samples) / sound.rate == pytest.approx(12 * 0.06, abs=0.01)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"voice": ""}, 400, "missing_required_parameter"),
        ({"input": None}, 400, "missing_required_parameter"),
        ({"input": "a" * 4097}, 400, "string_above_max_length"),
        ({"lang": "en"}, 400, "unknown_parameter"),
        ({"response_format": "mp3"}, 400, "unsupported_value"),
    ],
)
async def test_an_invalid_speech_request_gets_400_with_an_error_code(
    changed: dict[str, object], status: int, code: str
) -> None:
    answer = await post(ASKED | changed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_wrong_api_key_gets_401() -> None:
    assert (await post(ASKED, key="sk-other")).status_code == 401
