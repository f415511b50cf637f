"""The line buffer: lines are written shortly after, batched, whole and in order."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from pathlib import Path

import pytest

from proxy.line_buffer import BATCH_S, LineBuffer

by_str = partial(map, str)


class Counted(io.StringIO):
    """A stream that counts its writes."""

    writes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)


@pytest.mark.virtual
async def test_lines_written_together_are_one_write_to_the_stream() -> None:
    lines = LineBuffer(out := Counted(), by_str)
    lines.write("one")
    lines.write("two")
    assert out.getvalue() == ""
    await asyncio.sleep(BATCH_S + 0.01)
    assert (out.getvalue(), out.writes) == ("one\ntwo\n", 1)
    lines.write("three")
    await asyncio.sleep(BATCH_S + 0.01)
    assert out.getvalue() == "one\ntwo\nthree\n"


def test_without_an_event_loop_lines_are_written_at_once() -> None:
    lines = LineBuffer(out := io.StringIO(), by_str)
    lines.write("one")
    assert out.getvalue() == "one\n"


@pytest.mark.virtual
async def test_flushing_to_a_closed_file_raises_nothing() -> None:
    lines = LineBuffer(out := io.StringIO(), by_str)
    lines.write("one")
    out.close()
    lines.flush()


class Disk(io.StringIO):
    """A file on a disk that can be made full."""

    full = True

    def flush(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


def test_a_full_disk_loses_lines_and_reports_the_start_and_the_end_once() -> None:
    told: list[tuple[str | None, int]] = []
    disk = Disk()
    lines = LineBuffer(disk, by_str, lambda error, lost: told.append((error and error.strerror, lost)))
    for each in ("one", "two", "three"):
        lines.write(each)
    assert told == [("No space left on device", 1)]
    disk.full = False
    lines.write("four")
    lines.write("five")
    assert told == [("No space left on device", 1), (None, 3)]
    disk.full = True
    lines.write("six")
    assert told[2:] == [("No space left on device", 1)]
    lines.close()


def test_a_buffer_that_cannot_be_written_can_be_closed() -> None:
    with Path("/dev/full").open("w") as full:
        lines = LineBuffer(full, by_str)
        lines.write("one")
        lines.close()
        assert full.closed
