"""Log output to a stalled reader: lines are dropped, and the writing process never blocks."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from proxy.log_output import MAX_BYTES, RETRY_S, LogOutput, may_block

LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe whose other end is read only on request."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.end: TextIO = os.fdopen(write, "w")

    def reads(self) -> str:
        """Read everything available now."""
        parts = []
        try:
            while part := os.read(self._read, 65536):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    def leaves(self) -> None:
        os.close(self._read)
        self._read = -1

    def close(self) -> None:
        if self._read >= 0:
            self.leaves()
        self.end.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def lost() -> list[int]:
    return []


@pytest.fixture
def out(pipe: Pipe, lost: list[int]) -> LogOutput:
    return LogOutput(pipe.end, lost.append)


def says(out: LogOutput, lines: int) -> None:
    for _ in range(lines):
        out.write(LINE)
    out.flush()


def test_what_there_is_room_for_is_there_at_once(out: LogOutput, pipe: Pipe) -> None:
    out.write("one é\n")
    out.flush()
    assert pipe.reads() == "one é\n"


def test_a_reader_that_does_not_read_holds_up_nobody_and_misses_nothing_for_a_while(
    out: LogOutput, pipe: Pipe, lost: list[int]
) -> None:
    says(out, 2000)
    heard = pipe.reads()
    assert 0 < len(heard) < 2000 * len(LINE)
    while len(heard) < 2000 * len(LINE):
        out.flush()
        heard += pipe.reads()
    assert heard == 2000 * LINE
    assert lost == []


def test_what_it_would_not_read_for_long_is_lost_in_whole_lines_and_counted(
    out: LogOutput, pipe: Pipe, lost: list[int]
) -> None:
    said = 2 * MAX_BYTES // len(LINE)
    says(out, said)
    heard = pipe.reads()
    while lost == []:
        out.flush()
        heard += pipe.reads()
    assert heard == heard.count("\n") * LINE
    assert lost == [said - heard.count("\n")]


async def test_what_waits_is_put_out_though_nothing_more_is_said(out: LogOutput, pipe: Pipe) -> None:
    says(out, 1000)
    heard = pipe.reads()
    for _ in range(10):
        await asyncio.sleep(RETRY_S)
        heard += pipe.reads()
    assert heard == 1000 * LINE


async def test_a_reader_that_leaves_meanwhile_is_no_matter(out: LogOutput, pipe: Pipe) -> None:
    says(out, 1000)
    pipe.leaves()
    await asyncio.sleep(2 * RETRY_S)
    with pytest.raises(BrokenPipeError):
        says(out, 1)


def test_a_terminal_that_stands_still_holds_up_nobody_either(lost: list[int]) -> None:
    """As after Ctrl-S, which may leave room for less than one line."""
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as end, os.fdopen(screen, "rb", buffering=0):
        out = LogOutput(end, lost.append)
        for _ in range(200):
            says(out, 20)
        out.close()
        assert end.closed
    assert lost == []


def test_a_stream_that_is_closed_is_not_written_to(out: LogOutput, pipe: Pipe) -> None:
    says(out, 1000)
    out.close()
    assert pipe.end.closed
    with pytest.raises(ValueError, match="closed"):
        says(out, 1)


def test_a_file_and_what_is_none_of_the_systems_need_nothing_of_this(tmp_path: Path, pipe: Pipe) -> None:
    with (tmp_path / "log").open("w") as file:
        assert not may_block(file)
    assert not may_block(file)
    assert not may_block(io.StringIO())
    assert may_block(pipe.end)


ENDS = """
import structlog
from proxy.log import configure
configure("info")
for number in range(20000):
    structlog.get_logger("screendoor").info("a line", number=number)
"""


def test_the_last_lines_of_a_process_are_waited_for_and_a_reader_that_sleeps_is_not() -> None:
    command = [sys.executable, "-c", ENDS]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as read:
        assert read.stderr is not None
        assert "number=19999\n" in read.stderr.read()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as unread:
        assert unread.wait(20) == 0
