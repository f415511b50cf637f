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

    def read_available(self) -> str:
        """Read everything available now."""
        parts = []
        try:
            while part := os.read(self._read, 65536):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    def close_reader(self) -> None:
        os.close(self._read)
        self._read = -1

    def close(self) -> None:
        if self._read >= 0:
            self.close_reader()
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


def write_lines(out: LogOutput, lines: int) -> None:
    for _ in range(lines):
        out.write(LINE)
    out.flush()


def test_output_that_fits_the_pipe_is_written_at_once(out: LogOutput, pipe: Pipe) -> None:
    out.write("one é\n")
    out.flush()
    assert pipe.read_available() == "one é\n"


def test_a_stalled_reader_does_not_block_and_gets_all_lines_later(
    out: LogOutput, pipe: Pipe, lost: list[int]
) -> None:
    write_lines(out, 2000)
    heard = pipe.read_available()
    assert 0 < len(heard) < 2000 * len(LINE)
    while len(heard) < 2000 * len(LINE):
        out.flush()
        heard += pipe.read_available()
    assert heard == 2000 * LINE
    assert lost == []


def test_lines_over_the_buffer_limit_are_dropped_whole_and_counted(
    out: LogOutput, pipe: Pipe, lost: list[int]
) -> None:
    said = 2 * MAX_BYTES // len(LINE)
    write_lines(out, said)
    heard = pipe.read_available()
    while lost == []:
        out.flush()
        heard += pipe.read_available()
    assert heard == heard.count("\n") * LINE
    assert lost == [said - heard.count("\n")]


async def test_buffered_output_is_retried_without_further_writes(out: LogOutput, pipe: Pipe) -> None:
    write_lines(out, 1000)
    heard = pipe.read_available()
    for _ in range(10):
        await asyncio.sleep(RETRY_S)
        heard += pipe.read_available()
    assert heard == 1000 * LINE


async def test_a_closed_reader_raises_broken_pipe_only_on_the_next_write(out: LogOutput, pipe: Pipe) -> None:
    write_lines(out, 1000)
    pipe.close_reader()
    await asyncio.sleep(2 * RETRY_S)
    with pytest.raises(BrokenPipeError):
        write_lines(out, 1)


def test_a_stopped_terminal_does_not_block(lost: list[int]) -> None:
    """As after Ctrl-S, which may leave room for less than one line."""
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as end, os.fdopen(screen, "rb", buffering=0):
        out = LogOutput(end, lost.append)
        for _ in range(200):
            write_lines(out, 20)
        out.close()
        assert end.closed
    assert lost == []


def test_a_closed_output_refuses_writes(out: LogOutput, pipe: Pipe) -> None:
    write_lines(out, 1000)
    out.close()
    assert pipe.end.closed
    with pytest.raises(ValueError, match="closed"):
        write_lines(out, 1)


def test_only_pipes_and_terminals_may_block_not_files_or_closed_streams(tmp_path: Path, pipe: Pipe) -> None:
    with (tmp_path / "log").open("w") as file:
        assert not may_block(file)
    assert not may_block(file)
    assert not may_block(io.StringIO())
    assert may_block(pipe.end)


LOGGING_PROGRAM = """
import structlog
from proxy.log import configure
configure("info")
for number in range(20000):
    structlog.get_logger("screendoor").info("a line", number=number)
"""


def test_at_exit_the_last_lines_are_written_but_a_stalled_reader_is_not_awaited() -> None:
    command = [sys.executable, "-c", LOGGING_PROGRAM]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as read:
        assert read.stderr is not None
        assert "number=19999\n" in read.stderr.read()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as unread:
        assert unread.wait(20) == 0
