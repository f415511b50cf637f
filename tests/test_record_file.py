"""Records are appended as whole lines, or not at all."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.record_file import RecordFile


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond this; the system says so in the midst of a write, as a full disk does."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_lines_are_appended_whatever_is_in_them(tmp_path: Path) -> None:
    for text in ("one\n", "tw\udcff\n"):
        file = RecordFile(tmp_path / "new" / "calls.jsonl")
        assert file.write(text) == len(text)
        file.close()
    assert (tmp_path / "new" / "calls.jsonl").read_bytes() == b"one\ntw\\udcff\n"


def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "calls.jsonl")
    file.write("first\n")
    with room_for(100), pytest.raises(OSError, match="File too large"):
        file.write("x" * 200 + "\n")
    file.write("last\n")
    file.close()
    assert (tmp_path / "calls.jsonl").read_text() == "first\nlast\n"


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        RecordFile(tmp_path)
