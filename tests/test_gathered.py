"""Lines reach the file a moment later, together, whole and in order."""

from __future__ import annotations

import asyncio
import io

import pytest

from proxy.gathered import GATHER_S, Gathered


class Counted(io.StringIO):
    """Counts how often it is written to."""

    writes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)


@pytest.mark.virtual
async def test_lines_of_one_moment_are_written_in_one_go() -> None:
    lines = Gathered(out := Counted(), str)
    lines.write("one")
    lines.write("two")
    assert out.getvalue() == ""
    await asyncio.sleep(GATHER_S + 0.01)
    assert (out.getvalue(), out.writes) == ("one\ntwo\n", 1)
    lines.write("three")
    await asyncio.sleep(GATHER_S + 0.01)
    assert out.getvalue() == "one\ntwo\nthree\n"


def test_without_an_event_loop_nothing_waits() -> None:
    lines = Gathered(out := io.StringIO(), str)
    lines.write("one")
    assert out.getvalue() == "one\n"


@pytest.mark.virtual
async def test_a_closed_file_harms_nobody() -> None:
    lines = Gathered(out := io.StringIO(), str)
    lines.write("one")
    out.close()
    lines.flush()
