"""Calls of a process that is gone are cut; those of one that lives are not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from screening.memory.processes import CUT_REASON, GONE, Presence, runs
from screening.memory.schema import calls, processes
from screening.memory.store import Memory
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.records import AT, CALLER, a_record, finish
from tests.screening.memory.test_store import WAIT_S, kept, rows

pytestmark = pytest.mark.network

Ints = tuple[int, ...]


class Wall:
    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now


def a_presence(
    name: str, wall: Wall, *, pid: int, place: str = "here", alive: tuple[int, ...] = ()
) -> Presence:
    return Presence(name, wall, place=place, pid=pid, alive=lambda pid: pid in alive)


def says(memory: Memory, presence: Presence) -> None:
    memory.asked(presence.say).result(WAIT_S)


def test_what_an_earlier_process_left_is_cut_when_the_next_begins(url: str, memory_of: MakeMemory) -> None:
    earlier, later = memory_of(url, process="old"), memory_of(url, process="new")
    wall = Wall()
    says(earlier, a_presence("old", wall, pid=7))
    earlier.began("c1", AT, CALLER, None, "*")
    finish(earlier, a_record("c2"))
    assert kept(earlier) == {"c1": "going on", "c2": "over"}
    wall.now += timedelta(seconds=3)
    says(later, a_presence("new", wall, pid=8))
    assert kept(later) == {"c1": "cut", "c2": "over"}
    [row] = rows(later, select(calls).where(calls.c.state == "cut"))
    assert (row.result, row.reason, row.ended) == ("cut", CUT_REASON, wall.now)


def test_the_calls_of_another_process_that_lives_go_on(url: str, memory_of: MakeMemory) -> None:
    """Two share one database; or one drains while the next has begun."""
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    ours, elsewhere = a_presence("one", wall, pid=7), a_presence("one", wall, pid=7, place="elsewhere")
    for presence in (ours, elsewhere):
        says(one, presence)
        one.began("c1", AT, CALLER, None, "*")
        assert kept(one) == {"c1": "going on"}
        says(other, a_presence("other", wall, pid=8, alive=(7,)))
        assert kept(other) == {"c1": "going on"}


def test_a_process_of_another_machine_is_gone_once_nothing_is_heard_of_it(
    url: str, memory_of: MakeMemory
) -> None:
    one, other = memory_of(url, process="one"), memory_of(url, process="other")
    wall = Wall()
    theirs, ours = a_presence("one", wall, pid=7, place="elsewhere"), a_presence("other", wall, pid=8)
    says(one, theirs)
    one.began("c1", AT, CALLER, None, "*")
    assert kept(one) == {"c1": "going on"}
    wall.now += GONE
    says(other, ours)
    assert kept(other) == {"c1": "going on"}
    wall.now += timedelta(seconds=1)
    says(other, ours)
    assert kept(other) == {"c1": "cut"}
    says(one, theirs)  # it was away from the database alone
    assert kept(one) == {"c1": "going on"}


def test_a_process_that_leaves_is_known_no_more(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url, start=False)
    presence = a_presence("p1", Wall(), pid=7)
    memory.every(1000, presence.say)
    memory.at_the_end(presence.leave)
    memory.start()
    assert [row.id for row in rows(memory, select(processes))] == ["p1"]
    memory.close()
    assert rows(memory_of(url), select(processes)) == []


def test_this_process_runs_and_no_other_of_a_number_that_there_cannot_be() -> None:
    assert runs(1)
    assert not runs(2**22 + 1)
