"""The call record file: whole-line appends, rotation, and removing a caller."""

from __future__ import annotations

import fcntl
import json
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.record_file import RecordFile, remove_caller

ANNA, BOB = "+14155550100", "+14155550199"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Limit file sizes to ``size`` bytes: a write beyond fails midway, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_record_file_has_mode_0600_or_that_of_its_rotated_predecessor(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    file = RecordFile(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    path.rename(tmp_path / "calls.jsonl.1")
    file.write("two\n")
    file.close()
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o640, "two\n")


def test_lines_are_appended_and_surrogates_escaped(tmp_path: Path) -> None:
    for text in ("one\n", "tw\udcff\n"):
        file = RecordFile(tmp_path / "new" / "calls.jsonl")
        assert file.write(text) == len(text)
        file.close()
    assert (tmp_path / "new" / "calls.jsonl").read_bytes() == b"one\ntw\\udcff\n"


def test_a_partly_written_line_is_truncated(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "calls.jsonl")
    file.write("first\n")
    with file_size_limit(100), pytest.raises(OSError, match="File too large"):
        file.write("x" * 200 + "\n")
    file.write("last\n")
    file.close()
    assert (tmp_path / "calls.jsonl").read_text() == "first\nlast\n"


def test_a_line_cut_off_by_a_killed_process_does_not_corrupt_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(line("a", BOB) + line("b", ANNA)[:20])
    file = RecordFile(path)
    file.write(line("c", ANNA) + line("d", BOB))
    file.write(line("e", BOB))
    torn = line("b", ANNA)[:20] + "\n"
    assert path.read_text() == line("a", BOB) + torn + line("c", ANNA) + line("d", BOB) + line("e", BOB)
    assert remove_caller(path, ANNA) == 1, "his whole record is found"
    path.write_text("by hand")  # as an editor replaces it: our open file is no longer this path
    path.rename(tmp_path / "moved")
    path.write_text("by hand")
    file.write(line("f", BOB))
    file.close()
    assert path.read_text() == "by hand\n" + line("f", BOB)


def line(call: str, caller: str | None) -> str:
    return json.dumps({"call": call, "caller": caller, "plan": f"ask: {ANNA}"}, ensure_ascii=False) + "\n"


def test_removing_a_caller_keeps_all_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    assert remove_caller(path, ANNA) == 0, "there is none yet"
    rest = f'{line("b", BOB)}{line("c", None)}"{ANNA}"\n{{"caller": "{ANNA}"\n[]\n'
    path.write_text(line("a", ANNA) + rest + line("d", ANNA))
    path.chmod(0o640)
    assert remove_caller(path, ANNA) == 2
    assert path.read_text() == rest
    assert path.stat().st_mode & 0o777 == 0o640
    assert remove_caller(path, ANNA) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["calls.jsonl"]


def test_after_removal_or_rotation_lines_go_to_the_file_of_that_name(tmp_path: Path) -> None:
    path, link = tmp_path / "calls.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    file = RecordFile(link)
    file.write(line("a", ANNA) + line("b", BOB))
    assert remove_caller(link, ANNA) == 1
    file.write(line("c", BOB))
    assert path.read_text() == line("b", BOB) + line("c", BOB)
    assert link.is_symlink()
    path.rename(tmp_path / "calls.jsonl.1")  # as logrotate does
    file.write(line("d", BOB))
    assert path.read_text() == line("d", BOB)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError):
        file.write(line("e", BOB))
    tmp_path.mkdir()
    file.write(line("f", BOB))  # the path is opened again
    file.close()


def test_no_line_is_lost_while_a_caller_is_removed_concurrently(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    over = threading.Event()
    gone = []

    def remove_repeatedly() -> None:
        while not over.is_set():
            gone.append(remove_caller(path, ANNA))

    file = RecordFile(path)
    threads = [threading.Thread(target=remove_repeatedly) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(1000):
        file.write(line(f"a{n}", ANNA) + line(f"b{n}", BOB))
    over.set()
    for thread in threads:
        thread.join()
    assert sum(gone) + remove_caller(path, ANNA) == 1000
    assert path.read_text() == "".join(line(f"b{n}", BOB) for n in range(1000))
    file.close()


def test_lines_appended_without_the_lock_during_removal_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(line("a", ANNA) + line("b", BOB))
    slow = iter((line("c", BOB) + line("d", ANNA), line("e", ANNA) + line("f", BOB)))

    def appended(fileno: int) -> None:
        with path.open("a") as other:
            other.write(next(slow))

    monkeypatch.setattr("os.fsync", appended)
    assert remove_caller(path, ANNA) == 3
    assert path.read_text() == line("b", BOB) + line("c", BOB) + line("f", BOB)
    assert list(slow) == []


def test_a_failed_removal_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(line("a", ANNA) + 10 * line("b", BOB))
    before = path.read_text()
    with file_size_limit(100), pytest.raises(OSError, match="File too large"):
        remove_caller(path, ANNA)
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["calls.jsonl"]


def test_writing_works_on_a_file_system_with_inconsistent_inode_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.samestat", lambda one, other: False)
    file = RecordFile(tmp_path / "calls.jsonl")
    file.write("one\n")
    file.close()
    assert (tmp_path / "calls.jsonl").read_text() == "one\n"


def test_a_directory_as_record_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        RecordFile(tmp_path)


def test_a_lock_held_by_another_process_delays_writing_once_and_briefly(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    file = RecordFile(path)
    with path.open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        began = time.monotonic()
        for _ in range(200):
            file.write(line("a", ANNA))
    assert time.monotonic() - began < 2, "200 writes that waited would have taken 4 s"
    assert path.read_text() == 200 * line("a", ANNA)
