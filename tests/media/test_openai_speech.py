"""OpenAI's speech endpoint: a simulated server, the SDK as an oracle, and faulty answers."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.lab.audio import SPEECH_HZ, frequencies_in
from proxy.lab.openai_api import OpenAiLab
from proxy.lab.openai_server import loopback_server
from proxy.lab.openai_speech import speech
from proxy.media import openai_speech
from proxy.media.g711 import PCMU_SAMPLES
from proxy.media.openai_speech import OpenAISpeech, OpenAIVoice
from proxy.media.speech import MAX_S, SpeechFailed

pytestmark = pytest.mark.network

VOICE = OpenAIVoice("", "sk-lab", limit_s=30.0)
WAV = speech({"model": "m", "input": "hello" * 5, "voice": "v", "response_format": "wav"}).body
Serve = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def voice_of(serve: Serve, cache: Path | None = None, **changes: object) -> AsyncIterator[OpenAISpeech]:
    server = loopback_server(Starlette(routes=[Route("/v1/audio/speech", serve, methods=["POST"])]))
    async with server, httpx2.AsyncClient(trust_env=False) as http:
        base = f"http://127.0.0.1:{server.port}/v1"
        yield OpenAISpeech(replace(VOICE, api_base=base, **changes), http, cache)  # type: ignore[arg-type]


def answering(response: Callable[[], Response]) -> Serve:
    async def serve(request: Request) -> Response:
        return response()

    return serve


async def test_text_is_synthesized_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    async with OpenAiLab("sk-lab", "whsec_", "") as lab, httpx2.AsyncClient(trust_env=False) as http:
        voice = replace(VOICE, api_base=lab.base_url + "/")
        first = await OpenAISpeech(voice, http, tmp_path / "speech").speak("Call from Grace.", "en")
        again = await OpenAISpeech(voice, http, tmp_path / "speech").speak("Call from Grace.", "en")
        assert lab.spoken == ["Call from Grace."]
        assert first.seconds == again.seconds == pytest.approx(0.06 * 16, abs=0.02)
        other = replace(voice, voice="coral")
        await OpenAISpeech(other, http, tmp_path / "speech").speak("Call from Grace.", "en")
        assert len(lab.spoken) == 2
    for file in (tmp_path / "speech").iterdir():
        assert "Grace" not in file.name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_speech_is_resampled_to_8_khz() -> None:
    async with voice_of(answering(lambda: Response(WAV, media_type="audio/wav"))) as voice:
        clip = await voice.speak("hello", "en")
    [frame] = clip.frames("pcmu/8000")[10:11]
    assert frequencies_in([PCMU_SAMPLES[octet] for octet in frame], (440, 1000, SPEECH_HZ)) == (SPEECH_HZ,)


async def test_our_request_equals_that_of_the_openai_sdk() -> None:
    asked = []

    async def serve(request: Request) -> Response:
        asked.append(
            (request.headers["authorization"], request.headers["content-type"], await request.json())
        )
        return Response(WAV, media_type="audio/wav")

    async with voice_of(serve) as voice:
        await voice.speak("Hello, Grace", "en")
        async with AsyncOpenAI(api_key="sk-lab", base_url=voice._voice.api_base, max_retries=0) as sdk:
            await sdk.audio.speech.create(
                model="gpt-4o-mini-tts", voice="alloy", input="Hello, Grace", response_format="wav"
            )
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (
            lambda: JSONResponse({"error": {"code": "x"}}, 401),
            "OpenAI answered 401: the API key is not valid",
        ),
        (lambda: JSONResponse({}, 429), "OpenAI answered 429: the account's rate limit"),
        (lambda: Response("upstream failed", 502), "OpenAI answered 502"),
        (lambda: Response(status_code=302, headers={"Location": "http://192.0.2.1/"}), "OpenAI answered 302"),
        (lambda: HTMLResponse("<html>sign in</html>"), "cannot be played: it is not a WAV file"),
        (lambda: Response(b"", 204), "cannot be played"),
        (
            lambda: Response(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}),
            "it is not a WAV file",  # and is not decompressed
        ),
        (lambda: Response(WAV[:44]), "cannot be played: there is no sound in it"),
        (lambda: Response(WAV[:100], headers={"Content-Length": "5000"}), "OpenAI not reached"),
        (lambda: Response(b"ID3\x04" + bytes(400), media_type="audio/mpeg"), "it is not a WAV file"),
    ],
)
async def test_response_without_speech_raises_speech_failed_with_the_reason(
    tmp_path: Path, response: Callable[[], Response], why: str
) -> None:
    async with voice_of(answering(response), tmp_path) as voice:
        with pytest.raises(SpeechFailed, match=why):
            await voice.speak("hello", "en")
    assert os.listdir(tmp_path) == []


async def test_endless_response_raises_speech_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_speech, "MAX_BYTES", 100_000)

    async def on_and_on() -> AsyncIterator[bytes]:
        yield WAV
        for _ in range(10):
            yield bytes(50_000)

    async with voice_of(answering(lambda: StreamingResponse(on_and_on()))) as voice:
        with pytest.raises(SpeechFailed, match="is too long"):
            await voice.speak("hello", "en")


async def test_response_that_stalls_raises_speech_failed_after_the_limit() -> None:
    async def stops() -> AsyncIterator[bytes]:
        yield WAV[:200]
        await asyncio.Event().wait()

    async with voice_of(answering(lambda: StreamingResponse(stops())), limit_s=0.2) as voice:
        with pytest.raises(SpeechFailed, match=r"no speech from OpenAI within 0\.2 s"):
            await voice.speak("hello", "en")


async def test_unreachable_server_or_empty_text_raises_speech_failed() -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        voice = OpenAISpeech(replace(VOICE, api_base="http://127.0.0.1:9/v1"), http)
        with pytest.raises(SpeechFailed, match="OpenAI not reached"):
            await voice.speak("hello", "en")
        with pytest.raises(SpeechFailed, match="nothing to say"):
            await voice.speak(" ", "en")


async def test_unusable_or_damaged_cache_is_ignored(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with voice_of(answering(lambda: Response(WAV)), blocked / "speech") as voice:
        assert (await voice.speak("hello", "en")).seconds > 1
    async with voice_of(answering(lambda: Response(WAV)), tmp_path) as voice:
        voice._cache_file("hello").write_bytes(b"garbage")
        assert (await voice.speak("hello", "en")).seconds > 1
        assert voice._cache_file("hello").read_bytes()[:4] == b"RIFF"


async def test_full_disk_leaves_no_partial_cache_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    async with voice_of(answering(lambda: Response(WAV)), tmp_path) as voice:
        assert (await voice.speak("hello", "en")).seconds > 0
    assert os.listdir(tmp_path) == []


async def test_oldest_cache_files_are_deleted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_speech, "MAX_FILES", 3)
    async with voice_of(answering(lambda: Response(WAV)), tmp_path) as voice:
        for n in range(5):
            await voice.speak(f"hello {n}", "en")
            os.utime(voice._cache_file(f"hello {n}"), (n, n))
        assert sorted(os.listdir(tmp_path)) == sorted(voice._cache_file(f"hello {n}").name for n in (2, 3, 4))


async def test_speech_is_cut_at_the_maximum_length() -> None:
    long = WAV[:44] + bytes(2 * 24000 * 70)
    async with voice_of(answering(lambda: Response(long)), limit_s=60.0) as voice:
        assert (await voice.speak("hello", "en")).seconds == MAX_S
