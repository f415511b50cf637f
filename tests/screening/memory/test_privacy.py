"""Deletion by age and by caller, and export."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import insert, select

from screening.costs.caps import BudgetWarning
from screening.memory import history, lists, sip_trace
from screening.memory.history import CallFilter
from screening.memory.privacy import CallerDeletion, export_caller
from screening.memory.retention import CHECK_S
from screening.memory.schema import calls, lines, notices, voicemails
from screening.memory.store import Memory
from screening.notices.delivery import Delivery
from screening.notices.stored_outbox import insert as store
from screening.notices.target import Target, deliveries_for_budget
from screening.notices.webhook_channel import WebhookChannel
from tests.screening.memory.clocks import Time, do
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.records import AT, CALLER, a_record, finish
from tests.screening.memory.test_store import kept, rows

pytestmark = pytest.mark.network

OTHER = "+14155550199"


def store_call(memory: Memory, folder: Path, call: str, at: datetime, caller: str = CALLER) -> list[Path]:
    """Store a call with a voicemail, its transcript and a recording; returns their paths."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{call}-{name}" for name in ("message.wav", "message.txt", "recording.wav")]
    for file in files:
        file.write_bytes(b"RIFF")
    began, ended = (each.isoformat(timespec="milliseconds") for each in (at, at + timedelta(minutes=1)))
    record = a_record(call, caller=caller, began=began, ended=ended, voicemail=str(files[0]), voicemail_s=2.0)
    finish(memory, record | {"recording": str(files[2]), "recording_s": 60.0})
    notice = {
        "id": f"n-{call}",
        "event": "call.screened",
        "target": "me",
        "payload": {"call": call},
        "call": call,
        "created": at,
        "tries": 1,
        "due": at,
        "state": "done",
    }
    memory.enqueue(lambda connection: connection.execute(insert(notices), notice))
    return files


def forget(memory: Memory, number: str, **how: Any) -> CallerDeletion:
    """Delete a caller, each step in a transaction of its own."""
    deletion = CallerDeletion(number, **how)
    while do(memory, deletion.step):
        pass
    return deletion


def queue_warning(memory: Memory, caller: str) -> list[Delivery]:
    """Queue a budget warning about this caller."""
    budget = BudgetWarning("caller_calls", "*", caller, "3 of 3", 1.0, AT.date(), True)
    target = Target("me", WebhookChannel("https://example.com", ["whsec_" + "A" * 32], AT.timestamp))
    deliveries = deliveries_for_budget([target], budget, AT.timestamp())
    memory.enqueue(lambda connection: store(connection, deliveries))
    return deliveries


def counts(memory: Memory) -> list[int]:
    return [len(rows(memory, select(table))) for table in (calls, lines, voicemails, notices)]


def test_old_calls_are_deleted_with_their_files_in_batches(memory: Memory, tmp_path: Path) -> None:
    old = [store_call(memory, tmp_path / "f", f"old{n}", AT - timedelta(days=31 + n)) for n in range(5)]
    young = store_call(memory, tmp_path / "f", "young", AT - timedelta(days=29))
    memory.began("goes on", AT - timedelta(days=40), CALLER, None, "*")
    do(
        memory,
        lambda connection: lists.put(connection, lists.Entry("block", CALLER), AT - timedelta(days=99)),
    )
    time = Time(AT)
    retention = time.trusted_retention(memory, batch_size=2)
    with structlog.testing.capture_logs() as logs:
        for left in (4, 2, 1, 1):
            do(memory, retention.step)
            assert len(kept(memory)) - 1 == left
    assert [(line["event"], line["calls"], line["files"]) for line in logs] == [("old calls deleted", 5, 15)]
    assert not any(file.exists() for files in old for file in files)
    assert all(file.exists() for file in young)
    assert counts(memory) == [2, 2, 1, 1]
    assert len(do(memory, lambda connection: lists.find_entries(connection))) == 1
    time.pass_by(86400)
    do(memory, retention.step)
    assert len(kept(memory)) == 2, "29 days and one"
    time.pass_by(CHECK_S)
    do(memory, retention.step)
    assert set(kept(memory)) == {"goes on"}
    time.pass_by(CHECK_S)
    with structlog.testing.capture_logs() as logs:
        do(memory, retention.step)
    assert logs == [], "nothing was deleted"


def test_expired_expectations_are_deleted_but_other_expired_entries_are_not(memory: Memory) -> None:
    long_ago = AT - timedelta(days=31)
    for which in ("expected", "block"):
        entry = lists.Entry(which, CALLER, until=long_ago)
        do(memory, lambda connection, entry=entry: lists.put(connection, entry, long_ago))
    do(memory, Time(AT).trusted_retention(memory).step)
    assert [each["list"] for each in do(memory, lambda connection: lists.find_entries(connection))] == [
        "block"
    ]


def test_a_file_that_cannot_be_deleted_is_logged_but_a_missing_one_is_not(
    memory: Memory, tmp_path: Path
) -> None:
    message, _, recording = store_call(memory, tmp_path / "f", "c1", AT - timedelta(days=31))
    message.unlink()
    message.mkdir()
    recording.unlink()
    with structlog.testing.capture_logs() as logs:
        do(memory, Time(AT).trusted_retention(memory).step)
    assert [line["event"] for line in logs] == ["not deleted: please delete it", "old calls deleted"]
    assert logs[0]["file"] == str(message)
    assert kept(memory) == {}


def test_deleting_a_caller_deletes_all_his_data_and_no_others(memory: Memory, tmp_path: Path) -> None:
    files = store_call(memory, tmp_path / "f", "c1", AT)
    others = store_call(memory, tmp_path / "f", "c2", AT, OTHER)
    memory.began("c3", AT, CALLER, None, "*")
    do(memory, lambda connection: lists.put(connection, lists.Entry("block", CALLER), AT))
    deleted = forget(memory, CALLER)
    assert (deleted.calls, deleted.files, deleted.entries, deleted.going_on) == (1, 3, 0, 1)
    assert kept(memory) == {"c2": "over", "c3": "going on"}
    assert counts(memory) == [2, 2, 1, 1]
    assert not any(file.exists() for file in files)
    assert all(file.exists() for file in others)
    deleted = forget(memory, CALLER, from_lists=True)
    assert deleted.entries == 1


def test_budget_warnings_about_a_caller_are_exported_and_deleted_with_him(memory: Memory) -> None:
    ids = {
        caller: deliveries[0].id
        for caller in (CALLER, OTHER)
        if (deliveries := queue_warning(memory, caller))
    }
    export = do(memory, lambda connection: export_caller(connection, CALLER))
    assert [notice["payload"]["data"]["caller"] for notice in export.data["notices"]] == [CALLER]
    forget(memory, CALLER)
    assert rows(memory, select(notices.c.id)) == [(ids[OTHER],)]


def test_budget_warnings_are_found_by_the_number_as_the_trunk_sends_it(memory: Memory) -> None:
    def same_caller(caller: str, dialed: str) -> bool:
        return (f"+1{caller}", dialed) == (CALLER, "*")

    queue_warning(memory, CALLER.removeprefix("+1"))
    export = do(memory, lambda connection: export_caller(connection, CALLER, same_caller=same_caller))
    assert len(export.data["notices"]) == 1
    forget(memory, CALLER, same_caller=same_caller)
    assert rows(memory, select(notices.c.id)) == []


def test_deleted_numbers_remain_in_no_sqlite_file(memory_of: MakeMemory, tmp_path: Path) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/kept/screendoor.db")
    store_call(memory, tmp_path / "f", "c1", AT - timedelta(days=31))
    store_call(memory, tmp_path / "f", "c2", AT - timedelta(days=31), OTHER)
    store_call(memory, tmp_path / "f", "c3", AT - timedelta(days=31))
    assert set(kept(memory)) == {"c1", "c2", "c3"}
    assert named(tmp_path / "kept", CALLER) == ["screendoor.db-wal"]
    forget(memory, CALLER)
    assert set(kept(memory)) == {"c2"}
    assert named(tmp_path / "kept", CALLER) == []
    do(memory, Time(AT).trusted_retention(memory).step)
    assert kept(memory) == {}
    assert named(tmp_path / "kept", OTHER) == []


def test_numbers_deleted_during_a_backup_leave_the_wal_afterwards(
    memory_of: MakeMemory, tmp_path: Path
) -> None:
    memory = memory_of(f"sqlite:///{tmp_path}/kept/screendoor.db")
    store_call(memory, tmp_path / "f", "c1", AT)
    assert set(kept(memory)) == {"c1"}
    with closing(sqlite3.connect(tmp_path / "kept/screendoor.db")) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM calls").fetchone()
        forget(memory, CALLER)
        assert kept(memory) == {}, "nobody waits for it"
        assert named(tmp_path / "kept", CALLER) == ["screendoor.db-wal"]
    assert kept(memory) == {}
    assert named(tmp_path / "kept", CALLER) == []


def named(folder: Path, number: str) -> list[str]:
    """The files that contain a number."""
    return [file.name for file in folder.iterdir() if number.encode() in file.read_bytes()]


def test_a_caller_is_exported_as_json_and_files(memory: Memory, tmp_path: Path) -> None:
    files = store_call(memory, tmp_path / "f", "c1", AT)
    store_call(memory, tmp_path / "f", "c2", AT, OTHER)
    do(memory, lambda connection: lists.put(connection, lists.Entry("vip", CALLER, "Grace"), AT))
    do(memory, lambda connection: lists.put(connection, lists.Entry("vip", OTHER, "Ada"), AT))
    export = do(memory, lambda connection: export_caller(connection, CALLER))
    assert sorted(export.files) == sorted(files)
    exported = json.loads(json.dumps(export.data))
    assert exported["number"] == CALLER
    [call] = exported["calls"]
    assert (call["id"], call["began"]) == ("c1", "2026-11-22T09:00:00.000+00:00")
    assert [line["text"] for line in call["transcript"]] == ["Who is calling?", "Grace."]
    assert call["voicemail"]["seconds"] == 2.0
    assert call["record"]["steps"] == ["caller answered"]
    assert [(entry["list"], entry["name"]) for entry in exported["entries"]] == [("vip", "Grace")]
    assert [notice["payload"] for notice in exported["notices"]] == [{"call": "c1"}]


def test_export_and_deletion_of_a_caller_span_several_batches(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.memory.privacy.BATCH_SIZE", 2)
    files = [
        file
        for n in range(5)
        for file in store_call(memory, tmp_path / "f", f"c{n}", AT + timedelta(minutes=n))
    ]
    export = do(memory, lambda connection: export_caller(connection, CALLER))
    names = [f"c{n}" for n in range(5)]
    assert [call["id"] for call in export.data["calls"]] == names
    assert sorted(notice["payload"]["call"] for notice in export.data["notices"]) == names
    assert sorted(export.files) == sorted(files)
    deleted = forget(memory, CALLER)
    assert (deleted.calls, deleted.files, counts(memory)) == (5, 15, [0, 0, 0, 0])


def test_calls_are_stored_between_the_batches_of_a_deletion(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.memory.privacy.BATCH_SIZE", 2)
    for n in range(5):
        store_call(memory, tmp_path / "f", f"c{n}", AT + timedelta(minutes=n))
    deletion = CallerDeletion(CALLER)
    assert do(memory, deletion.step)
    assert len(kept(memory)) == 3
    memory.began("c9", AT, OTHER, None, "*")
    assert do(memory, deletion.step)
    assert sorted(kept(memory).values()) == ["going on", "over"], "one is left, and one has come"
    assert not do(memory, deletion.step)
    assert (deletion.calls, deletion.files, kept(memory)) == (5, 15, {"c9": "going on"})


def test_calls_are_filtered_and_paged_latest_first(memory: Memory, tmp_path: Path) -> None:
    for n in range(5):
        store_call(memory, tmp_path, f"c{n}", AT + timedelta(minutes=n // 2), OTHER if n == 3 else CALLER)
    page = do(memory, lambda connection: history.find_calls(connection, CallFilter(), limit=2))
    assert [call["id"] for call in page] == ["c4", "c3"]
    assert page[0]["voicemail"]
    after = (page[-1]["began"], page[-1]["id"])
    page = do(memory, lambda connection: history.find_calls(connection, CallFilter(), after=after, limit=2))
    assert [call["id"] for call in page] == ["c2", "c1"]
    for sought, names in (
        (CallFilter(caller=OTHER), ["c3"]),
        (CallFilter(result="nothing"), []),
        (CallFilter(since=AT + timedelta(minutes=2)), ["c4"]),
        (CallFilter(until=AT + timedelta(minutes=1), decision="ALLOW"), ["c1", "c0"]),
    ):
        some = do(memory, lambda connection, sought=sought: history.find_calls(connection, sought))
        assert [call["id"] for call in some] == names
    assert do(memory, lambda connection: history.get_call(connection, "c9")) is None


def test_voicemails_are_found_marked_heard_and_deleted(memory: Memory, tmp_path: Path) -> None:
    files = store_call(memory, tmp_path, "c1", AT)
    store_call(memory, tmp_path, "c2", AT + timedelta(minutes=1))

    def names(heard: bool | None) -> list[str]:
        found = do(memory, lambda connection: history.find_voicemails(connection, heard=heard))
        return [message["call"] for message in found]

    assert names(None) == ["c2", "c1"]
    assert do(memory, lambda connection: history.set_heard(connection, "c1", AT))
    assert do(memory, lambda connection: history.set_transcript(connection, "c1", "Call me."))
    assert (names(True), names(False)) == (["c1"], ["c2"])
    message = do(memory, lambda connection: history.get_voicemail(connection, "c1"))
    assert message is not None
    assert (message["transcript"], message["heard_at"], message["caller"]) == ("Call me.", AT, CALLER)
    assert do(memory, lambda connection: history.delete_voicemail(connection, "c1"))
    assert not do(memory, lambda connection: history.delete_voicemail(connection, "c1"))
    assert [file.exists() for file in files] == [False, False, True]
    assert kept(memory)["c1"] == "over"


SIP = [{"at": 1.5, "leg": "caller", "sent": False, "message": "INVITE \udcff"}]


def test_the_sip_trace_of_a_call_is_exported_and_deleted_with_it(memory: Memory) -> None:
    for call, caller in (("c1", CALLER), ("c2", OTHER)):
        finish(memory, a_record(call, caller=caller))
        memory.enqueue(lambda connection, call=call: sip_trace.store(connection, call, SIP))
        memory.enqueue(
            lambda connection, call=call: sip_trace.store(connection, call, SIP * 2)
        )  # there was more than this
    exported = do(memory, lambda connection: export_caller(connection, CALLER)).data
    assert [call["sip"] for call in exported["calls"]] == [SIP * 2]
    forget(memory, CALLER)
    memory.enqueue(
        lambda connection: sip_trace.store(connection, "c1", SIP)
    )  # it was in progress, and comes too late
    kept = [
        do(memory, lambda connection, call=call: sip_trace.load(connection, call))
        for call in ("c1", "c2", "c3")
    ]
    assert kept == [[], SIP * 2, []]
    json.dumps(exported)
