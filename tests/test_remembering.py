"""What the house tells its memory of a call that is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from proxy.call.outcome import Outcome, Result
from proxy.call.record import CallRecord
from proxy.config import parse
from proxy.remembering import memory, words_to
from screening.memory.schema import voicemails

TEXT = """
public = {{ host = "sbc.example.com", address = "203.0.113.10" }}
listen = [ {{ transport = "udp", bind = "0.0.0.0:5060" }} ]
trunk = [ {{ name = "t", from = ["192.0.2.1"], outbound = "sip:t.example", caller_id = "+14155550100" }} ]
memory = {{ url = "sqlite:///{folder}/memory.db" }}
number = [ {{ dialed = "*", screen = "off", destinations = ["tel:+14155559876"] }} ]
"""


@pytest.mark.network
async def test_the_words_of_a_message_come_after_its_record(tmp_path: Path) -> None:
    settings = parse(TEXT.format(folder=tmp_path), {}, file="t.toml", folder=tmp_path)
    kept = memory(settings, "p1", lambda: datetime.now(UTC))
    assert kept is not None
    await asyncio.to_thread(kept.start)
    record = CallRecord("c1", None, "*", datetime(2026, 11, 22, tzinfo=UTC))
    record.voicemail, record.outcome = "voicemail/c1.wav", Outcome(Result.VOICEMAIL, "nobody is in")
    told = words_to(kept)
    try:
        kept.finished(record.as_dict())
        told(record)
        record.voicemail_transcript = "The cake is ready."
        told(record)
        rows = await kept.ask(lambda connection: connection.execute(select(voicemails)).all())
    finally:
        await asyncio.to_thread(kept.close)
    assert [(row.call, row.transcript) for row in rows] == [("c1", "The cake is ready.")]
