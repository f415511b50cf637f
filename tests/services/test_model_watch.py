"""Warnings of models that are shut down: in the log every day, and one notice of each stage."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.config import Settings, parse
from proxy.services import model_watch
from proxy.services.policy_setup import ending
from screening.openai.model_shutdowns import Shutdown

SETTINGS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "0.0.0.0:5060" } ]
trunk = [ { name = "one", from = ["192.0.2.1"], outbound = "sip:192.0.2.1" } ]
speech = { api_key = "env:KEY"%s }
screening = { voicemail_transcript = "%s", voicemail_transcript_model = "whisper-1" }
number = [ { dialed = "*", destinations = ["sip:phone@192.0.2.11"], screen = "off" } ]
"""
SENTENCE = (
    'screening: voicemail_transcript_model "whisper-1" is switched off on 2027-02-26: use "gpt-transcribe"'
)


def settings(transcribes: str = "on", base: str = "") -> Settings:
    return parse(SETTINGS % (base, transcribes), {"KEY": "sk-x"}, file="x", folder=Path())


@pytest.mark.virtual
async def test_a_process_that_runs_for_months_warns_every_day_and_notifies_of_each_stage_once() -> None:
    loop = asyncio.get_running_loop()
    began, start = loop.time(), datetime(2026, 12, 26, 12, tzinfo=UTC)
    notices: list[tuple[int, str]] = []

    def day() -> int:
        return round((loop.time() - began) / 86400)

    def notify(shutdown: Shutdown) -> None:
        notices.append((day(), shutdown.stage))

    with capture_logs() as logs:
        watching = asyncio.ensure_future(
            model_watch.watch(settings(), lambda: start + timedelta(days=day()), notify)
        )
        await asyncio.sleep(70 * 86400 + 1)
        watching.cancel()
    assert notices == [(2, "soon"), (55, "last call"), (62, "over")]
    texts = [str(line["event"]) for line in logs]
    assert len(texts) == 69
    assert texts[0] == SENTENCE
    assert texts[-1] == SENTENCE.replace("is switched", "was switched")


@pytest.mark.virtual
async def test_a_shutdown_logged_at_startup_is_notified_but_not_logged_again() -> None:
    notices: list[Shutdown] = []
    with capture_logs() as logs:
        watching = asyncio.ensure_future(
            model_watch.watch(settings(), lambda: datetime(2027, 3, 1, tzinfo=UTC), notices.append)
        )
        await asyncio.sleep(86399)
        watching.cancel()
    assert [each.over for each in notices] == [True]
    assert logs == []


def test_the_model_that_transcribes_voicemails_is_one_of_openai_s_and_in_use() -> None:
    day = datetime(2027, 1, 10, tzinfo=UTC).date()
    assert [str(each) for each in ending(settings(), day)] == [SENTENCE]
    assert list(ending(settings("off"), day)) == []
    assert list(ending(settings(base=', api_base = "https://speech.example.com/v1"'), day)) == []
    assert list(ending(settings(base=', api_base = "https://eu.api.openai.com/v1"'), day)) != []
