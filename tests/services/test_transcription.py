"""Voicemails are transcribed after their calls, without delaying anything."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI
from structlog.testing import capture_logs

from proxy.call.record import CallRecord
from proxy.config import Settings, parse
from proxy.lab.openai_api import OpenAiLab
from proxy.media.disk_writer import at_once
from proxy.media.wav import write_wav
from proxy.services.transcription import MAX_WAITING, VoicemailTranscriber
from screening.transcription import Account, OpenAITranscription, TranscriptionFailed

TEXT = """
public = {{ host = "sbc.example.com", address = "203.0.113.10" }}
listen = [ {{ transport = "udp", bind = "0.0.0.0:5060" }} ]
trunk = [ {{ name = "t", from = ["192.0.2.1"], outbound = "sip:t.example", caller_id = "+14155550100" }} ]
agent = [ {{ name = "a", provider = "sip", sip = "sip:a@192.0.2.9" }} ]
speech = {{ api_key = "env:KEY", api_base = "{base}" }}
screening = {{ {common} }}
number = [ {{ dialed = "+14155551234", destinations = ["tel:+14155559876"] }} ]
"""


def settings(base: str = "http://127.0.0.1:9/v1", common: str = "") -> Settings:
    text = TEXT.format(base=base, common=common)
    return parse(text, {"KEY": "sk-lab"}, file="t.toml", folder=Path())


def a_record(voicemail: Path | None) -> CallRecord:
    record = CallRecord("c1", None, "+14155551234", datetime(2026, 11, 22, tzinfo=UTC))
    record.voicemail = str(voicemail) if voicemail else None
    return record


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "c1.wav"
    path.write_bytes(write_wav([0] * 16_000))
    return path


class FakeTranscription:
    """A transcription service that the test controls."""

    def __init__(self, failure: str | None = None) -> None:
        self.failure, self.release = failure, asyncio.Event()
        self.requests = self.peak = 0
        self._running = 0

    async def transcribe(self, message: Path) -> str:
        self.requests += 1
        self._running += 1
        self.peak = max(self.peak, self._running)
        await self.release.wait()
        self._running -= 1
        if self.failure:
            raise TranscriptionFailed(self.failure)
        return "The cake is ready."


@pytest.mark.network
async def test_a_voicemail_transcript_is_stored_privately_beside_the_recording(message: Path) -> None:
    finished: list[CallRecord] = []
    async with OpenAiLab("sk-lab", "whsec_", "") as lab:
        transcriber = VoicemailTranscriber(settings(lab.base_url), at_once)
        transcriber.listeners.append(finished.append)
        record = a_record(message)
        with capture_logs() as logs:
            transcriber.finished(record)
            assert finished == [], "the record waits for its transcript"
            async with asyncio.timeout(20):
                while not finished:
                    await asyncio.sleep(0.01)
        await transcriber.close()
    assert finished == [record]
    assert record.voicemail_transcript == "Please call me back. I have talked for 2 seconds."
    kept = message.with_suffix(".txt")
    assert kept.read_text() == f"{record.voicemail_transcript}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "call me back" not in str(logs)
    assert lab.transcribed == 1


@pytest.mark.network
async def test_the_lab_gives_the_sdk_and_us_the_same_transcript(message: Path) -> None:
    async with OpenAiLab("sk-lab", "whsec_", "") as lab, httpx2.AsyncClient(trust_env=False) as http:
        ours = await OpenAITranscription(Account(lab.base_url, "sk-lab"), http).transcribe(message)
        async with AsyncOpenAI(api_key="sk-lab", base_url=lab.base_url, max_retries=0) as sdk:
            theirs = await sdk.audio.transcriptions.create(file=message, model="gpt-transcribe")
        assert ours == theirs.text
        with pytest.raises(TranscriptionFailed, match="OpenAI answered 401: the API key is not valid"):
            await OpenAITranscription(Account(lab.base_url, "sk-other"), http).transcribe(message)
        with pytest.raises(TranscriptionFailed, match="OpenAI answered 400"):
            await OpenAITranscription(Account(lab.base_url, "sk-lab"), http).transcribe(Path(__file__))


@pytest.mark.parametrize(
    "common", ['voicemail_transcript = "off"', ""], ids=["where it is off", "where nothing was recorded"]
)
async def test_a_record_that_needs_no_transcript_is_passed_on_at_once(message: Path, common: str) -> None:
    finished: list[CallRecord] = []
    transcriber = VoicemailTranscriber(settings(common=common), at_once)
    transcriber.listeners.append(finished.append)
    transcriber.finished(record := a_record(message if common else None))
    assert finished == [record]
    await transcriber.close()


async def test_without_an_api_key_nothing_is_transcribed(message: Path) -> None:
    text = TEXT.replace('speech = {{ api_key = "env:KEY", api_base = "{base}" }}', "").format(common="")
    finished: list[CallRecord] = []
    keyless = VoicemailTranscriber(parse(text, {}, file="t.toml", folder=Path()), at_once)
    keyless.listeners.append(finished.append)
    keyless.finished(a_record(message))
    assert len(finished) == 1
    await keyless.close()


async def test_a_failed_transcription_is_one_log_line_and_the_record_is_passed_on(message: Path) -> None:
    finished: list[CallRecord] = []
    transcriber = VoicemailTranscriber(settings(), at_once)
    transcriber.listeners.append(finished.append)
    transcriber._transcription = service = FakeTranscription("OpenAI answered 503")
    with capture_logs() as logs:
        transcriber.finished(record := a_record(message))
        service.release.set()
        await asyncio.sleep(0.01)
    assert finished == [record]
    assert record.voicemail_transcript is None
    assert [(line["event"], line["why"]) for line in logs] == [("not transcribed", "OpenAI answered 503")]
    assert transcriber.counts == {"done": 0, "failed": 1, "left": 0}
    await transcriber.close()


async def test_two_messages_are_transcribed_at_once_and_those_over_the_queue_limit_skipped(
    message: Path,
) -> None:
    finished: list[CallRecord] = []
    transcriber = VoicemailTranscriber(settings(), at_once)
    transcriber.listeners.append(finished.append)
    transcriber._transcription = service = FakeTranscription()
    for _ in range(MAX_WAITING + 3):
        transcriber.finished(a_record(message))
    assert len(finished) == 3
    await asyncio.sleep(0.01)
    assert (service.requests, service.peak) == (2, 2)
    service.release.set()
    async with asyncio.timeout(10):
        while len(finished) < MAX_WAITING + 3:
            await asyncio.sleep(0.01)
    assert (len(finished), service.peak) == (MAX_WAITING + 3, 2)
    assert transcriber.counts == {"done": MAX_WAITING, "failed": 0, "left": 3}
    await transcriber.close()


async def test_on_close_records_being_transcribed_are_passed_on_without_transcript(message: Path) -> None:
    finished: list[CallRecord] = []
    transcriber = VoicemailTranscriber(settings(), at_once)
    transcriber.listeners.append(finished.append)
    transcriber._transcription = FakeTranscription()
    transcriber.finished(record := a_record(message))
    await asyncio.sleep(0.01)
    await transcriber.close()
    assert finished == [record]
    assert transcriber.counts["left"] == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
