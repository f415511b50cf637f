"""Transcription: what is sent, what is retried and when it gives up; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from screening import transcription
from screening.transcription import Account, OpenAITranscription, TranscriptionFailed

ACCOUNT = Account("https://api.example.com/v1/", "sk-test", "gpt-transcribe", "proj_1")
SAID = httpx2.Response(200, json={"text": " The cake is ready. "})


class Api:
    """Answers requests in turn, repeating the last answer."""

    def __init__(self, *answers: httpx2.Response | Exception, takes_s: float = 0.0) -> None:
        self.answers, self.takes_s = list(answers), takes_s
        self.requests: list[httpx2.Request] = []
        self.bodies: list[bytes] = []
        self.at: list[float] = []
        self._began = asyncio.get_running_loop().time()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.bodies.append(await request.aread())
        self.at.append(asyncio.get_running_loop().time() - self._began)
        await asyncio.sleep(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer.status_code, content=_streamed(answer.content))


async def _streamed(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture(autouse=True)
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not run in virtual time."""

    async def at_once(work, *told):
        return work(*told)

    monkeypatch.setattr(transcription.asyncio, "to_thread", at_once)


async def transcribed(api: Api, message: Path) -> str:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api)) as http:
        return await OpenAITranscription(ACCOUNT, http).transcribe(message)


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(b"RIFF of a message")
    return path


async def test_the_recording_is_posted_as_a_form_with_model_and_key(message: Path) -> None:
    api = Api(SAID)
    assert await transcribed(api, message) == "The cake is ready."
    [request], [body] = api.requests, api.bodies
    assert str(request.url) == "https://api.example.com/v1/audio/transcriptions"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["openai-project"] == "proj_1"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"RIFF of a message" in body
    assert b"gpt-transcribe" in body
    assert b'filename="message.wav"' in body
    assert "sk-test" not in repr(ACCOUNT)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_temporary_failures_are_retried_after_2_10_and_30_seconds(message: Path, status: int) -> None:
    api = Api(httpx2.Response(status))
    with pytest.raises(TranscriptionFailed, match=f"OpenAI answered {status}"):
        await transcribed(api, message)
    assert api.at == pytest.approx([0, 2, 12, 42])


async def test_a_success_at_the_last_retry_counts(message: Path) -> None:
    error = httpx2.ConnectError("no route")
    assert await transcribed(Api(error, error, error, SAID), message) == "The cake is ready."


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_permanent_failures_are_not_retried(message: Path, status: int) -> None:
    api = Api(httpx2.Response(status))
    with pytest.raises(TranscriptionFailed, match=f"OpenAI answered {status}"):
        await transcribed(api, message)
    assert len(api.requests) == 1


async def test_an_unanswered_request_is_given_up_within_two_minutes(message: Path) -> None:
    api = Api(SAID, takes_s=3600)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TranscriptionFailed, match="no transcript within 15 s"):
        await transcribed(api, message)
    assert len(api.requests) == 4
    assert asyncio.get_running_loop().time() - began <= 120


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no text"),
        (b'{"text": 7}', "no text"),
        (b'{"text": "' + b"a" * 1_000_001 + b'"}', "does not end"),
    ],
)
async def test_a_malformed_answer_is_a_one_line_failure(message: Path, content: bytes, why: str) -> None:
    with pytest.raises(TranscriptionFailed, match=why) as failure:
        await transcribed(Api(httpx2.Response(200, content=content)), message)
    assert "\n" not in str(failure.value)


async def test_an_empty_transcript_is_valid_and_a_long_one_is_cut(message: Path) -> None:
    assert await transcribed(Api(httpx2.Response(200, json={"text": ""})), message) == ""
    long = httpx2.Response(200, json={"text": "a " * 30_000})
    assert len(await transcribed(Api(long), message)) == transcription.MAX_TEXT


async def test_a_missing_or_too_large_file_is_not_sent(message: Path, tmp_path: Path) -> None:
    api = Api(SAID)
    with pytest.raises(TranscriptionFailed, match="cannot be read"):
        await transcribed(api, tmp_path / "nowhere.wav")
    with message.open("ab") as file:
        file.truncate(transcription.MAX_BYTES + 1)
    with pytest.raises(TranscriptionFailed, match="too long"):
        await transcribed(api, message)
    assert api.requests == []
