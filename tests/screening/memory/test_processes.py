"""Calls of a dead process are marked as interrupted; those of a live one are not."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from proxy.media.recorder import RATE, wav_header
from screening.memory.orphaned_files import CallFolders
from screening.memory.privacy import CallerDeletion
from screening.memory.processes import CUT_REASON, HEARTBEAT_TIMEOUT, ProcessRegistration, pid_exists
from screening.memory.schema import calls, processes, voicemails
from screening.memory.store import Memory
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.records import AT, CALLER, a_record, finish
from tests.screening.memory.test_store import WAIT_S, kept, rows

pytestmark = pytest.mark.network

Ints = tuple[int, ...]


class Wall:
    def __init__(self) -> None:
        self.now, self.shift = AT, timedelta(0)

    def set_by(self, by: timedelta) -> None:
        """Set the wall clock; no time passes."""
        self.now, self.shift = self.now + by, self.shift + by

    def __call__(self) -> datetime:
        return self.now


def registration(
    name: str, wall: Wall, *, pid: int, place: str = "here", alive: tuple[int, ...] = ()
) -> ProcessRegistration:
    def clock() -> float:
        return (wall.now - wall.shift - AT).total_seconds()

    return ProcessRegistration(name, wall, place=place, pid=pid, alive=lambda pid: pid in alive, clock=clock)


def beat(memory: Memory, presence: ProcessRegistration) -> None:
    memory.submit(presence.heartbeat).result(WAIT_S)


def test_calls_of_a_dead_process_are_marked_cut_by_the_next_one(url: str, memory_of: MakeMemory) -> None:
    earlier, later = memory_of(url, process="old"), memory_of(url, process="new")
    wall = Wall()
    beat(earlier, registration("old", wall, pid=7))
    earlier.began("c1", AT, CALLER, None, "*")
    finish(earlier, a_record("c2"))
    assert kept(earlier) == {"c1": "going on", "c2": "over"}
    wall.now += timedelta(seconds=3)
    beat(later, registration("new", wall, pid=8))
    assert kept(later) == {"c1": "cut", "c2": "over"}
    [row] = rows(later, select(calls).where(calls.c.state == "cut"))
    assert (row.result, row.reason, row.ended) == ("cut", CUT_REASON, wall.now)


def test_calls_of_another_live_process_are_not_cut(url: str, memory_of: MakeMemory) -> None:
    """Two processes share one database, or one drains while its successor runs."""
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    ours, elsewhere = registration("one", wall, pid=7), registration("one", wall, pid=7, place="elsewhere")
    for presence in (ours, elsewhere):
        beat(one, presence)
        one.began("c1", AT, CALLER, None, "*")
        assert kept(one) == {"c1": "going on"}
        beat(other, registration("other", wall, pid=8, alive=(7,)))
        assert kept(other) == {"c1": "going on"}


def test_calls_of_another_machine_are_cut_after_its_heartbeat_timeout(
    url: str, memory_of: MakeMemory
) -> None:
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    theirs, ours = registration("one", wall, pid=7, place="elsewhere"), registration("other", wall, pid=8)
    beat(one, theirs)
    one.began("c1", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "going on"}
    wall.now += HEARTBEAT_TIMEOUT
    beat(other, ours)
    assert kept(other) == {"c1": "going on"}
    wall.now += timedelta(seconds=1)
    beat(other, ours)
    assert kept(other) == {"c1": "cut"}
    beat(one, theirs)  # only the database was unreachable
    assert kept(one) == {"c1": "going on"}


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_machine_with_another_clock_is_alive_while_its_heartbeat_arrives(
    url: str, memory_of: MakeMemory, minutes: int
) -> None:
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    walls = Wall(), Wall()
    walls[0].set_by(timedelta(minutes=minutes))
    theirs, ours = (
        registration("one", walls[0], pid=7, place="elsewhere"),
        registration("other", walls[1], pid=8),
    )
    for _ in range(2):
        beat(one, theirs)
        beat(other, ours)
        for wall in walls:
            wall.now += timedelta(seconds=10)
    beat(one, theirs)
    one.began("c1", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "going on"}
    for _ in range(12):
        for wall in walls:
            wall.now += timedelta(seconds=5)
        beat(other, ours)
        assert kept(other) == {"c1": "going on"}
        for wall in walls:
            wall.now += timedelta(seconds=5)
        beat(one, theirs)
    beat(other, ours)
    walls[1].now += HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    beat(other, ours)
    assert kept(other) == {"c1": "cut"}, "whatever its clock said"


def test_setting_the_clock_forward_cuts_no_calls(url: str, memory_of: MakeMemory) -> None:
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    theirs, ours = registration("one", wall, pid=7), registration("other", wall, pid=8, alive=(7,))
    for _ in range(2):
        beat(one, theirs)
        beat(other, ours)
        wall.now += timedelta(seconds=10)
    one.began("c1", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "going on"}
    wall.set_by(timedelta(hours=5))
    beat(other, ours)
    assert kept(other) == {"c1": "going on"}


def test_voicemail_and_recording_of_a_cut_call_are_recovered(
    url: str, memory_of: MakeMemory, tmp_path: Path
) -> None:
    folders = CallFolders(tmp_path / "voicemail", tmp_path / "recordings")
    earlier, later = memory_of(url, process="old"), memory_of(url, process="new")
    beat(earlier, registration("old", wall := Wall(), pid=7))
    for name in ("c1", "c2", "c3", "c4"):
        earlier.began(name, AT, CALLER, None, "*")
    assert set(kept(earlier).values()) == {"going on"}
    message = wav(folders.messages / "c1.wav", 12.5)
    recording = wav(folders.recordings / "c2.wav", 0.5, channels=2)
    wav(folders.messages / "c3.wav", 0.5)
    odd = folders.messages / "c4.wav"
    odd.write_text("no sound")
    other = wav(folders.messages / "c9.wav", 3.0)
    with structlog.testing.capture_logs() as logs:
        beat(
            later,
            ProcessRegistration("new", wall, place="here", pid=8, alive=lambda pid: False, folders=folders),
        )
    assert next(line for line in logs if "files" in line)["files"] == 3
    found = rows(later, select(voicemails.c.call, voicemails.c.file, voicemails.c.seconds))
    assert sorted(found) == [("c1", str(message), 12.5), ("c4", str(odd), None)]
    made = select(calls.c.id, calls.c.recording, calls.c.recording_s).where(calls.c.recording.is_not(None))
    assert rows(later, made) == [("c2", str(recording), 0.5)]
    assert not (folders.messages / "c3.wav").exists(), "too short to be a message"
    later.submit(CallerDeletion(CALLER).step).result(WAIT_S)
    assert [file.name for file in tmp_path.rglob("*.wav")] == [other.name]


def test_a_call_wrongly_cut_gets_its_voicemail_from_its_own_process(
    url: str, memory_of: MakeMemory, tmp_path: Path
) -> None:
    folders = CallFolders(tmp_path, tmp_path / "recordings")
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    theirs = registration("one", wall, pid=7, place="elsewhere")
    beat(one, theirs)
    one.began("c1", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "going on"}
    message, recording = wav(tmp_path / "c1.wav", 5.0), wav(folders.recordings / "c1.wav", 5.0)
    wall.now += HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    beat(other, ProcessRegistration("other", wall, place="here", pid=8, folders=folders))
    assert len(rows(other, select(voicemails))) == 1
    beat(one, theirs)  # only the database was unreachable
    assert (
        rows(one, select(voicemails)) == rows(one, select(calls).where(calls.c.recording.is_not(None))) == []
    )
    finish(one, a_record("c1", voicemail=str(message), voicemail_s=9.0, recording=str(recording)))
    assert kept(one) == {"c1": "over"}
    assert rows(one, select(voicemails.c.seconds)) == [(9.0,)]


def test_a_process_wrongly_presumed_dead_restores_only_its_cut_calls(url: str, memory_of: MakeMemory) -> None:
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    theirs = registration("one", wall, pid=7, place="elsewhere")
    beat(one, theirs)
    finish(one, a_record("c1"))
    one.began("c2", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "over", "c2": "going on"}
    wall.now += HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    beat(other, registration("other", wall, pid=8))
    assert kept(other) == {"c1": "over", "c2": "cut"}
    beat(one, theirs)
    assert kept(one) == {"c1": "over", "c2": "going on"}
    [row] = rows(one, select(calls).where(calls.c.id == "c1"))
    assert row.result == "bridged"


def wav(file: Path, seconds: float, channels: int = 1) -> Path:
    file.parent.mkdir(exist_ok=True)
    samples = int(RATE * seconds)
    file.write_bytes(wav_header(samples, channels) + bytes(2 * channels * samples))
    return file


def test_a_process_that_leaves_removes_its_registration(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url, start=False)
    presence = registration("p1", Wall(), pid=7)
    memory.every(1000, presence.heartbeat)
    memory.on_close(presence.leave)
    memory.start()
    assert [row.id for row in rows(memory, select(processes))] == ["p1"]
    memory.close()
    assert rows(memory_of(url), select(processes)) == []


def test_pid_exists_is_true_for_pid_1_and_false_for_an_impossible_pid() -> None:
    assert pid_exists(1)
    assert not pid_exists(2**22 + 1)
