"""The disk thread and buffered file writes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from proxy.media.disk_writer import DiskThread, at_once, write_whole


def test_tasks_run_in_order_on_another_thread() -> None:
    disk, done = DiskThread(), list[tuple[int, bool]]()
    for n in range(100):
        disk(lambda n=n: done.append((n, threading.current_thread() is threading.main_thread())))
    assert disk.close()
    assert done == [(n, False) for n in range(100)]


def test_unused_disk_starts_no_thread() -> None:
    before = threading.active_count()
    disk = DiskThread()
    assert threading.active_count() == before
    assert disk.close()


def test_close_gives_up_on_a_hung_disk() -> None:
    disk, stuck = DiskThread(), threading.Event()
    disk(lambda: _ignored(stuck.wait()))
    assert not disk.close(within_s=0.01)
    stuck.set()


def _ignored(value: object) -> None:
    """Discard a value: work returns None."""


def test_disk_thread_can_be_used_again_after_close() -> None:
    disk, done = DiskThread(), list[int]()
    for n in range(2):
        disk(lambda n=n: done.append(n))
        assert disk.close()
    assert done == [0, 1]


def test_at_once_runs_the_task_synchronously() -> None:
    done = list[int]()
    at_once(lambda: done.append(1))
    assert done == [1]


def test_write_whole_writes_all_bytes_at_the_offset_or_raises(tmp_path: Path) -> None:
    file = os.open(tmp_path / "a", os.O_CREAT | os.O_RDWR)
    try:
        write_whole(file, b"abcdef", 2)
        assert (tmp_path / "a").read_bytes() == b"\0\0abcdef"
    finally:
        os.close(file)
    with pytest.raises(OSError, match="descriptor"):
        write_whole(file, b"abcdef", 2)
