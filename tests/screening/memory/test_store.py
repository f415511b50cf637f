"""Call data is stored, whatever happens to the database meanwhile."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, insert, select, text

from screening.memory import history
from screening.memory.errors import Unavailable
from screening.memory.history import set_transcript
from screening.memory.schema import calls, entries, lines, voicemails
from screening.memory.store import Memory
from screening.memory.writer import Entry
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.postgres import Postgres
from tests.screening.memory.records import AT, CALLER, a_record, finish
from tests.sipp.process import until

pytestmark = pytest.mark.network

WAIT_S = 20.0


def kept(memory: Memory) -> dict[str, str]:
    """The state of each call by name."""
    return {row.id: row.state for row in rows(memory, select(calls.c.id, calls.c.state))}


def rows(memory: Memory, query: object) -> list[object]:
    # type: ignore[call-overload]
    return list(memory.submit(lambda connection: connection.execute(query).all()).result(WAIT_S))


def test_a_call_row_is_inserted_at_its_begin_and_completed_at_its_end(memory: Memory) -> None:
    memory.began("c1", AT, CALLER, "GRACE", "+14155551234")
    [row] = rows(memory, select(calls))
    assert (row.state, row.began, row.caller, row.caller_name, row.record) == (
        "going on",
        AT,
        CALLER,
        "GRACE",
        None,
    )
    record = a_record()
    finish(memory, record)
    [row] = rows(memory, select(calls))
    assert (row.state, row.process, row.began) == ("over", "p1", AT)
    assert (row.result, row.reason) == ("bridged", "the caller talked to the phone")
    for name in ("caller", "caller_name", "dialed", "plan", "decision", "why", "trigger", "ended_by"):
        assert getattr(row, name) == record[name]
    assert row.ended.isoformat(timespec="milliseconds") == record["ended"]
    assert row.record == {key: value for key, value in record.items() if key != "transcript"}
    said = rows(memory, select(lines).order_by(lines.c.n))
    assert [(line.n, line.speaker, line.said, line.at_s) for line in said] == [
        (0, "agent", "Who is calling?", 0.5),
        (1, "caller", "Grace.", 2.0),
    ]


def test_a_text_message_is_stored_with_invalid_characters_replaced(memory: Memory) -> None:
    message = {"text": "Call\0 \udcff me.", "caller_name": None, "call_back": "1", "urgent": False}
    finish(memory, a_record("c1") | {"message": message, "voicemail": None})
    [row] = memory.submit(lambda c: history.find_voicemails(c)).result(10)
    assert (row["file"], row["transcript"]) == (None, "Call\ufffd ? me.")
    assert row["message"]["call_back"] == "1"
    [call] = memory.submit(lambda c: history.find_calls(c, history.CallFilter())).result(10)
    assert call["voicemail"] is True


def test_the_record_is_built_in_the_memory_thread(memory: Memory) -> None:
    made_in: list[str] = []

    def made() -> Mapping[str, object]:
        made_in.append(threading.current_thread().name)
        return a_record()

    memory.finished(made, lambda: "{}")
    assert kept(memory) == {"c1": "over"}
    assert made_in == ["memory"]


def test_the_record_is_stored_as_the_json_given(memory: Memory) -> None:
    memory.finished(lambda: a_record("c1"), lambda: '{"steps":["\udcff","gr\u00fcn","\\u0000"]}')
    [row] = rows(memory, select(calls))
    assert (row.result, row.record) == ("bridged", {"steps": ["\udcff", "gr\u00fcn", "\0"]})


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"caller_name": "Gr\0ace \udcff"}, {"caller_name": "Gr\ufffdace ?"}),
        ({"caller_name": "Gr\u00fcn\tund \\ Co"}, {"caller_name": "Gr\u00fcn\tund \\ Co"}),
        ({"began": "2026-11-22T10:00:00.000+01:00"}, {"began": AT}),
        ({"cost": {"money": 0.5, "minutes": 1.0, "tokens": 2**40}}, {"tokens": 2**31 - 1}),
        ({"outcome": None, "ended": None}, {"result": None, "ended": None}),
    ],
)
def test_a_record_with_unusual_values_is_stored_sanitised(
    memory: Memory, told: dict[str, object], kept: dict[str, object]
) -> None:
    memory.began("c1", AT, CALLER, str(told.get("caller_name")), "*")
    finish(memory, a_record("c2"))
    finish(memory, a_record("c1") | told)
    finish(memory, a_record("c3"))
    found = {row.id: row for row in rows(memory, select(calls))}
    assert {row.state for row in found.values()} == {"over"}
    for name, value in kept.items():
        assert getattr(found["c1"], name) == value
        assert getattr(found["c2"], name) == getattr(found["c3"], name)


def record_transaction_sizes(memory: Memory) -> list[int]:
    """A list that collects the number of entries in each transaction from now on."""
    told, write = list[int](), memory._writer.write

    def noted(what: Sequence[Entry]) -> int:
        told.append(len(what))
        return write(what)

    memory._writer.write = noted  # type: ignore[method-assign]
    return told


def test_entries_within_the_gather_time_are_one_transaction(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.memory.store.GATHER_S", 1.0)  # longer, for busy machines
    written = record_transaction_sizes(memory)
    for n in range(20):
        memory.began(f"c{n}", AT, CALLER, None, "*")
        finish(memory, a_record(f"c{n}"))
    assert memory.waiting == 40
    until(lambda: not memory.waiting, "it is written", within_s=WAIT_S)
    assert set(kept(memory).values()) == {"over"}
    assert written == [40]


async def test_the_memory_thread_sleeps_until_entries_are_due(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: not memory._wake.is_set(), "nothing is to be done", within_s=WAIT_S)
    written, turns, turn = record_transaction_sizes(memory), list[int](), memory._run_once

    def counted() -> None:
        turns.append(memory.waiting)
        turn()

    monkeypatch.setattr(memory, "_run_once", counted)
    memory.began("c1", AT, CALLER, None, "*")
    finish(memory, a_record("c2"))
    assert not memory._wake.is_set()
    async with asyncio.timeout(WAIT_S):
        await asyncio.to_thread(until, lambda: not memory.waiting, "it is written", within_s=WAIT_S)
    assert written == [2]
    assert set(turns) == {2}
    assert kept(memory) == {"c1": "going on", "c2": "over"}


def test_queries_do_not_wait_for_the_gather_time(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screening.memory.store.GATHER_S", 1000.0)
    memory.began("c1", AT, CALLER, None, "*")
    assert kept(memory) == {"c1": "going on"}
    finish(memory, a_record("c1"))
    assert kept(memory) == {"c1": "over"}


def test_closing_does_not_wait_for_the_gather_time(
    url: str, memory_of: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.memory.store.GATHER_S", 1000.0)
    memory = memory_of(url)
    finish(memory, a_record())
    assert memory.close()
    assert kept(memory_of(url)) == {"c1": "over"}


def test_a_voicemail_has_its_own_row_and_keeps_its_transcript(memory: Memory) -> None:
    finish(memory, a_record(voicemail="voicemail/c1.wav", voicemail_s=3.5))
    [row] = rows(memory, select(voicemails))
    whole = str(Path("voicemail/c1.wav").absolute())
    assert (row.call, row.file, row.seconds, row.heard_at) == ("c1", whole, 3.5, None)
    memory.enqueue(partial(set_transcript, name="c1", text="The cake is ready."))
    [row] = rows(memory, select(voicemails))
    assert row.transcript == "The cake is ready."
    finish(memory, a_record(voicemail="voicemail/c1.wav", voicemail_s=3.5))
    [row] = rows(memory, select(voicemails))
    assert row.transcript == "The cake is ready."
    assert row.left_at.isoformat() == "2026-11-22T09:01:00+00:00"


def test_with_transcripts_off_no_lines_are_stored(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url, transcripts=False)
    finish(memory, a_record())
    assert kept(memory) == {"c1": "over"}
    assert rows(memory, select(lines)) == []


def test_a_thousand_calls_at_once_are_all_stored(memory: Memory) -> None:
    for n in range(1000):
        memory.began(f"c{n}", AT, CALLER, None, "*")
        if n % 2:
            finish(memory, a_record(f"c{n}"))
    states = list(kept(memory).values())
    assert (len(states), states.count("over")) == (1000, 500)


def test_closing_writes_pending_entries(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url)
    finish(memory, a_record())
    assert memory.close()
    assert kept(memory_of(url)) == {"c1": "over"}


def test_characters_a_database_cannot_store_are_replaced(memory: Memory) -> None:
    said = [{"speaker": "caller", "text": "a\udcffb\0c", "at_s": 1.0}]
    finish(memory, a_record(caller_name="Gr\udcffce\n", transcript=said, steps=["\udcff"]))
    [row] = rows(memory, select(calls))
    assert (row.caller_name, row.record["steps"]) == ("Gr?ce\n", ["\udcff"])
    assert [line.said for line in rows(memory, select(lines))] == ["a?b\ufffdc"]


def test_token_counts_beyond_the_column_limit_are_clamped(memory: Memory) -> None:
    cost = {"money": 1e12, "minutes": 1e9, "tokens": 6 * 10**9, "currency": "USD"}
    finish(memory, a_record("c1", cost=cost))
    [row] = rows(memory, select(calls))
    assert (row.state, row.tokens, row.cost_money) == ("over", 2**31 - 1, 1e12)
    assert row.record["cost"]["tokens"] == 6 * 10**9


def test_a_call_that_cannot_be_stored_does_not_affect_others(memory: Memory) -> None:
    with structlog.testing.capture_logs() as logs:
        memory.enqueue(lambda connection: connection.execute(text("select 1")))
        for record in (a_record("c1"), a_record("bad", recording_s=object()), a_record("c2")):
            finish(memory, record)
        assert kept(memory) == {"c1": "over", "c2": "over"}
    [line] = [line for line in logs if line["event"] == "not kept"]
    assert line["call"] == "bad"
    assert memory.lost == 1


def test_a_value_too_long_for_an_index_does_not_affect_other_calls(memory: Memory) -> None:
    digits = "".join(random.Random(1).choices("0123456789", k=20_000))
    memory.began("long", AT, digits, None, "*")
    finish(memory, a_record("c1"))
    assert kept(memory)["c1"] == "over"
    assert not memory.outage


def test_a_failed_query_raises_and_is_rolled_back(memory: Memory) -> None:
    def wrong(connection: Connection) -> None:
        connection.execute(insert(calls), {"id": "x", "state": "over", "began": AT, "dialed": "*"})
        raise LookupError("no such call")

    with pytest.raises(LookupError, match="no such call"):
        memory.submit(wrong).result(WAIT_S)
    assert kept(memory) == {}


async def test_a_query_can_be_awaited_on_an_event_loop(memory: Memory) -> None:
    finish(memory, a_record())
    assert await memory.ask(lambda connection: connection.execute(select(calls.c.id)).scalar_one()) == "c1"


def test_a_closed_memory_refuses_queries(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url)
    memory.close()
    with pytest.raises(Unavailable, match="closed"):
        memory.submit(lambda connection: None).result(WAIT_S)


def test_calls_during_a_server_outage_are_written_after_it(postgres: Postgres, memory_of: MakeMemory) -> None:
    memory = memory_of(postgres.create("away"))
    memory.began("c1", AT, CALLER, None, "*")
    assert kept(memory) == {"c1": "going on"}
    with structlog.testing.capture_logs() as logs:
        postgres.stop()
        try:
            finish(memory, a_record("c1"))
            until(lambda: memory.outage, "it is noticed that the server is away")
            finish(memory, a_record("c2"))
            with pytest.raises(Unavailable):
                memory.submit(lambda connection: None).result(WAIT_S)
            assert memory.waiting == 2
        finally:
            postgres.start()
        until(lambda: not memory.outage, "it is back", within_s=WAIT_S)
        assert kept(memory) == {"c1": "over", "c2": "over"}
    events = [line["event"] for line in logs]
    assert events[0] == "database unavailable: calls go on, and are written later"
    assert events[-1] == "database written again"
    assert len(events) <= 4, logs
    assert len({line.get("problem") for line in logs}) == len(logs)


def test_calls_are_written_when_a_server_down_at_the_start_comes_up(
    postgres: Postgres, memory_of: MakeMemory
) -> None:
    url = postgres.create("later")
    postgres.stop()
    try:
        memory = memory_of(url)
        finish(memory, a_record())
        assert memory.outage
    finally:
        postgres.start()
    until(lambda: not memory.outage, "it is there", within_s=WAIT_S)
    assert kept(memory) == {"c1": "over"}


def test_over_the_queue_limit_the_oldest_entries_are_lost_with_one_log_line(
    tmp_path: Path, memory_of: MakeMemory
) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/s.db", max_waiting=10)
    with structlog.testing.capture_logs() as logs:
        held = threading.Event()
        answer = memory.submit(lambda connection: held.wait(WAIT_S))
        for n in range(15):
            finish(memory, a_record(f"c{n}"))
        held.set()
        answer.result(WAIT_S)
        assert set(kept(memory)) == {f"c{n}" for n in range(5, 15)}
    assert [line["event"] for line in logs] == ["database queue full: the oldest entry is lost"]
    assert memory.lost == 5


def test_calls_are_written_after_another_process_unlocks_the_file(
    tmp_path: Path, memory_of: MakeMemory
) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/s.db")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    with structlog.testing.capture_logs() as logs:
        other.execute("BEGIN EXCLUSIVE")
        finish(memory, a_record())
        until(lambda: memory.outage, "it is noticed", within_s=WAIT_S)
        other.execute("COMMIT")
        other.close()
        until(lambda: not memory.outage, "it is written", within_s=WAIT_S)
    assert [line["event"] for line in logs] == [
        "database unavailable: calls go on, and are written later",
        "database written again",
    ]
    assert logs[0]["problem"] == "database is locked"
    assert kept(memory) == {"c1": "over"}
    assert (memory.failures > 0, memory.waiting, memory.lost) == (True, 0, 0)


def test_a_deleted_database_file_is_created_again(tmp_path: Path, memory_of: MakeMemory) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/s.db")
    finish(memory, a_record("c1"))
    assert kept(memory) == {"c1": "over"}
    for file in tmp_path.iterdir():
        file.unlink()
    finish(memory, a_record("c2"))
    assert kept(memory) == {"c2": "over"}
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("SELECT id FROM calls").fetchall() == [("c2",)]


def test_calls_during_a_corrupt_file_are_written_after_its_repair(
    tmp_path: Path, memory_of: MakeMemory
) -> None:
    file = tmp_path / "s.db"
    memory = memory_of(f"sqlite:///{file}")
    finish(memory, a_record("c1"))
    assert kept(memory) == {"c1": "over"}
    with structlog.testing.capture_logs() as logs:
        good = [each.rename(each.with_name(f"good-{each.name}")) for each in tmp_path.iterdir()]
        file.write_bytes(b"this is a letter, not a database " * 1000)
        finish(memory, a_record("c2"))
        until(lambda: memory.outage, "it is noticed")
        for each in good:
            each.replace(each.with_name(each.name.removeprefix("good-")))
        until(lambda: not memory.outage, "it is whole", within_s=WAIT_S)
    assert "file is not a database" in " ".join(str(line.get("problem")) for line in logs)
    assert kept(memory)["c2"] == "over"


def test_an_idle_memory_thread_sleeps(tmp_path: Path, memory_of: MakeMemory) -> None:
    looked = count()

    def clock() -> float:
        next(looked)
        return time.monotonic()

    memory = memory_of(f"sqlite:///{tmp_path}/s.db", start=False, clock=clock)
    memory.every(3600.0, lambda connection: None)
    memory.start()
    assert kept(memory) == {}
    threading.Event().wait(0.3)
    assert next(looked) < 100, "times that the thread has looked at the clock"


def test_periodic_work_runs_only_at_its_interval(tmp_path: Path, memory_of: MakeMemory) -> None:
    memory, done = memory_of(f"sqlite:///{tmp_path}/s.db", start=False), []
    memory.every(3600.0, lambda connection: done.append(1))
    memory.start()
    for _ in range(3):
        assert kept(memory) == {}
    assert done == [1]


def test_a_missing_table_is_one_log_line_and_calls_are_still_written(
    tmp_path: Path, memory_of: MakeMemory
) -> None:
    file = tmp_path / "s.db"
    memory = memory_of(f"sqlite:///{file}", start=False)
    memory.every(0.05, lambda connection: connection.execute(select(entries.c.id)))
    with structlog.testing.capture_logs() as logs:
        memory.start()
        with sqlite3.connect(file) as damaging:
            damaging.execute("ALTER TABLE entries RENAME TO lost")
        until(lambda: memory.failures >= 2, "it is tried again", within_s=WAIT_S)
        finish(memory, a_record("c1"))
        until(lambda: memory.waiting == 0, "the call is written", within_s=WAIT_S)
        with sqlite3.connect(file) as mending:
            mending.execute("ALTER TABLE lost RENAME TO entries")
        until(lambda: not memory.outage, "it is whole", within_s=WAIT_S)
    assert [(line["event"], line.get("problem")) for line in logs] == [
        ("database unavailable: calls go on, and are written later", "no such table: entries"),
        ("database written again", None),
    ]
    assert kept(memory) == {"c1": "over"}


def test_calls_during_a_full_disk_are_written_afterwards(tmp_path: Path, memory_of: MakeMemory) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/s.db")
    no_larger = text("PRAGMA max_page_count = 1")  # cap it at its present size, on this connection
    memory.submit(lambda connection: connection.execute(no_larger)).result(WAIT_S)
    with structlog.testing.capture_logs() as logs:
        for n in range(200):
            finish(memory, a_record(f"c{n}"))
        until(lambda: memory.outage, "it is noticed", within_s=WAIT_S)
        until(lambda: not memory.outage, "there is room again", within_s=WAIT_S)
    assert [(line["event"], line.get("problem")) for line in logs] == [
        ("database unavailable: calls go on, and are written later", "database or disk is full"),
        ("database written again", None),
    ]
    assert set(kept(memory).values()) == {"over"}
    assert len(kept(memory)) == 200
