"""What the running application stores: voicemail transcripts, and callers blocked or trusted by key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from proxy.call.outcome import Outcome, Result
from proxy.call.record import CallRecord
from proxy.config import Settings, parse
from proxy.services.memory_setup import (
    RunningMemory,
    build_memory,
    restore,
    transcript_recorder,
    wish_recorder,
)
from screening.callers.recent import RecentCalls
from screening.contract import Caller, Wish
from screening.memory.retention import STEADY_S
from screening.memory.schema import calls, entries, voicemails
from tests.screening.memory.clocks import Time
from tests.screening.memory.records import finish

pytestmark = pytest.mark.network

TEXT = """
public = {{ host = "sbc.example.com", address = "203.0.113.10" }}
listen = [ {{ transport = "udp", bind = "0.0.0.0:5060" }} ]
trunk = [ {{ name = "t", from = ["192.0.2.1"], outbound = "sip:t.example", caller_id = "+14155550100" }} ]
memory = {{ url = "sqlite:///{folder}/memory.db", keep_days = {days} }}
number = [
  {{ dialed = "+14155551234", screen = "off", destinations = ["tel:+14155559876"] }},
  {{ dialed = "*", screen = "off", destinations = ["tel:+14155559876"] }},
]
"""
AT = datetime(2026, 11, 22, tzinfo=UTC)


def memory_in(folder: Path, days: int = 30, now: datetime = AT) -> tuple[Settings, RunningMemory]:
    settings = parse(TEXT.format(folder=folder, days=days), {}, file="t.toml", folder=folder)
    running = build_memory(settings, "p1", lambda: now)
    assert running is not None
    return settings, running


async def test_a_voicemail_transcript_is_stored_after_its_record(tmp_path: Path) -> None:
    kept = memory_in(tmp_path)[1].memory
    await asyncio.to_thread(kept.start)
    record = CallRecord("c1", None, "*", AT)
    record.voicemail, record.outcome = "voicemail/c1.wav", Outcome(Result.VOICEMAIL, "nobody is in")
    told = transcript_recorder(kept)
    try:
        finish(kept, record.as_dict())
        told(record)
        record.voicemail_transcript = "The cake is ready."
        told(record)
        rows = await kept.ask(lambda connection: connection.execute(select(voicemails)).all())
    finally:
        await asyncio.to_thread(kept.close)
    assert [(row.call, row.transcript) for row in rows] == [("c1", "The cake is ready.")]


async def test_a_caller_blocked_or_trusted_by_key_is_put_on_the_list_of_the_dialed_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, running = memory_in(tmp_path)
    await asyncio.to_thread(running.memory.start)
    remember = wish_recorder(running.memory, settings, lambda: AT)
    try:
        remember(Caller("c1", "+13475550148", "Ann", "+14155551234", "", AT), Wish.BLOCK)
        remember(Caller("c2", "(347) 555-0149", None, "+14155551234", "", AT), Wish.TRUST)
        remember(Caller("c3", "+13475550150", None, "*", "", AT), Wish.BLOCK)
        remember(Caller("c4", "nobody", None, "*", "", AT), Wish.BLOCK)
        kept = await running.memory.ask(lambda connection: connection.execute(select(entries)).all())
    finally:
        await asyncio.to_thread(running.memory.close)
    assert [(row.list, row.number, row.name, row.dialed) for row in kept] == [
        ("block", "+13475550148", "Ann", "+14155551234"),
        ("allow", "+13475550149", None, "+14155551234"),
        ("block", "+13475550150", None, None),
    ]
    assert "not remembered" in capsys.readouterr().out


async def test_callers_of_the_last_24_hours_are_restored_at_the_start(tmp_path: Path) -> None:
    _, running = memory_in(tmp_path)
    kept = running.memory
    await asyncio.to_thread(kept.start)
    times = {"old": timedelta(hours=25), "c1": timedelta(hours=23), "c2": timedelta(minutes=1)}
    for name, ago in times.items():
        kept.began(name, AT - ago, "+14155550199", None, "*")
    kept.began("nobody", AT, None, None, "*")
    recent = RecentCalls()
    await restore(recent, kept, AT)
    caller = Caller("c3", "+14155550199", None, "*", "", AT)
    assert list(recent.record(caller)) == [AT - times["c1"], AT - times["c2"]]
    await asyncio.to_thread(kept.close)
    with capture_logs() as logs:
        await restore(RecentCalls(), kept, AT)
    assert [line["event"] for line in logs] == ["callers before this start are not known yet"]


@pytest.mark.parametrize(("days", "later", "left"), [(7, 6, ["c1"]), (7, 8, []), (0, 4000, ["c1"])])
async def test_calls_are_deleted_after_keep_days_and_never_if_it_is_0(
    days: int, later: int, left: list[str], tmp_path: Path
) -> None:
    kept = memory_in(tmp_path, days)[1].memory
    await asyncio.to_thread(kept.start)
    record = CallRecord("c1", "+14155550199", "*", AT)
    record.ended, record.outcome = AT, Outcome(Result.BRIDGED, "they talked")
    finish(kept, record.as_dict())
    await asyncio.to_thread(kept.close)
    time = Time(AT + timedelta(days=later))
    running = build_memory(memory_in(tmp_path, days)[0], "p1", lambda: time.now, lambda: time.seconds)
    assert running is not None
    kept = running.memory
    await asyncio.to_thread(kept.start)
    try:
        time.pass_by(STEADY_S)  # by now the clock is trusted
        await kept.ask(lambda connection: None)
        found = await kept.ask(lambda connection: connection.execute(select(calls.c.id)).scalars().all())
    finally:
        await asyncio.to_thread(kept.close)
    assert found == left
