"""Database lists take part in the policy of a running process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
import structlog
from sqlalchemy import Connection, insert

from screening.callers.number_list import NumberList
from screening.contract import Caller
from screening.memory.database import Database
from screening.memory.lists import (
    ANYBODY,
    Entry,
    count_expected,
    find_entries,
    put,
    put_contacts,
    remove_number,
)
from screening.memory.live_lists import LiveLists
from screening.memory.schema import entries
from screening.policy import Policy
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.records import AT
from tests.sipp.process import until

pytestmark = pytest.mark.network

US, NUMBER = "+14155551234", "+14155550100"
T = TypeVar("T")


class Kept:
    """A database, the live lists made from it, and a clock."""

    def __init__(self, url: str) -> None:
        self._database, self.now = Database(url), AT
        self.lists = LiveLists(lambda: self.now, self.do)
        numbers = {which: self.lists.numbers(which, US, ()) for which in ("block", "vip", "allow")}
        self.policy = Policy(**numbers, contacts=self.lists.contacts(US, ()), expecting=self.lists.expecting)
        self.looks()

    def looks(self) -> None:
        self.do(self.lists.refresh)

    def do(self, work: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection, connection.begin():
            return work(connection)

    def puts(self, which: str, number: str, **told: object) -> None:
        # type: ignore[arg-type]
        self.do(lambda connection: put(connection, Entry(which, number, **told), AT))
        self.looks()

    def rule(self, number: str = NUMBER) -> str:
        decision = self.policy.decide(self.caller(number))
        return f"{decision.action.value} by {decision.rule}"

    def caller(self, number: str | None = NUMBER) -> Caller:
        return Caller("c", number, None, US, "openai", self.now)


@pytest.fixture
def kept(url: str) -> Kept:
    return Kept(url)


@pytest.mark.parametrize(
    ("which", "number", "rule"),
    [
        ("allow", NUMBER, "ring by allow"),
        ("block", NUMBER, "reject by block"),
        ("block", "+1415*", "reject by block pattern"),
        ("vip", NUMBER, "ring by vip"),
        ("contact", NUMBER, "ring by contacts"),
    ],
)
def test_an_entry_holds_until_it_is_taken_off(kept: Kept, which: str, number: str, rule: str) -> None:
    assert kept.rule() == "ask by level"
    kept.puts(which, number)
    assert kept.rule() == rule
    kept.do(lambda connection: remove_number(connection, number))
    kept.looks()
    assert kept.rule() == "ask by level"


def test_an_entry_for_one_number_of_ours_is_for_no_other(kept: Kept) -> None:
    kept.puts("block", NUMBER, dialed="+493012345678")
    assert kept.rule() == "ask by level"
    kept.puts("block", NUMBER, dialed=US)
    assert kept.rule() == "reject by block"


def test_an_entry_holds_until_its_time(kept: Kept) -> None:
    kept.puts("block", NUMBER, until=AT + timedelta(minutes=5))
    assert kept.rule() == "reject by block"
    kept.now += timedelta(minutes=5)
    kept.looks()
    assert kept.rule() == "ask by level"


def test_an_entry_that_was_over_by_a_clock_that_was_ahead_holds_again_when_it_is_right(kept: Kept) -> None:
    kept.puts("block", NUMBER, until=AT + timedelta(minutes=5))
    kept.puts("expected", ANYBODY, dialed=US, until=AT + timedelta(minutes=5))
    kept.now += timedelta(days=1)
    kept.looks()
    assert kept.rule() == "ask by level"
    kept.now -= timedelta(days=1)
    kept.looks()
    assert kept.rule() == "reject by block"
    assert kept.lists.expecting.find(None, kept.caller(None)) is not None


def test_an_expected_call_is_found_until_its_time(kept: Kept) -> None:
    kept.puts("expected", NUMBER, until=AT + timedelta(minutes=5))
    found = kept.lists.expecting.find(NUMBER, kept.caller())
    assert found is not None
    assert (found.number, found.until) == (NUMBER, AT + timedelta(minutes=5))
    assert kept.lists.expecting.find_number("+14155550199", kept.caller("+14155550199")) is None
    kept.puts("expected", ANYBODY, dialed=US, until=AT + timedelta(minutes=5))
    assert kept.lists.expecting.find(None, kept.caller(None)) is not None
    kept.now += timedelta(minutes=5)
    assert kept.lists.expecting.find(NUMBER, kept.caller()) is None


def test_expected_calls_are_counted_and_what_is_left_survives_a_restart(kept: Kept, url: str) -> None:
    kept.puts("expected", ANYBODY, calls=3)
    for left in (2, 1):
        assert kept.rule() == "ring by expected"
        kept.policy.note_expected_call(kept.caller())
        assert kept.do(lambda c: [row["calls"] for row in find_entries(c, "expected")]) == [left]
    kept = Kept(url)
    assert kept.rule() == "ring by expected"
    kept.policy.note_expected_call(kept.caller())
    assert kept.rule() == "ask by level"
    kept.looks()
    assert kept.rule() == "ask by level"
    assert kept.do(lambda c: find_entries(c, "expected")) == []


def test_a_call_that_came_is_written_down_once_though_it_is_told_twice(kept: Kept) -> None:
    kept.puts("expected", NUMBER, calls=2)
    place = kept.do(lambda c: find_entries(c, "expected"))[0]["id"]
    for _ in range(2):
        kept.do(lambda c: count_expected(c, place, 1))
    assert kept.do(lambda c: find_entries(c, "expected"))[0]["calls"] == 1


def test_whoever_is_known_uses_up_no_call_of_anybody(kept: Kept) -> None:
    kept.puts("contact", NUMBER)
    kept.puts("expected", ANYBODY, calls=1)
    kept.policy.note_expected_call(kept.caller())
    assert kept.rule("+14155550199") == "ring by expected"


def test_contacts_have_their_names(kept: Kept) -> None:
    kept.do(lambda connection: put_contacts(connection, [(NUMBER, "Anna")], AT))
    kept.looks()
    assert kept.policy.contacts[0].name(NUMBER) == "Anna"


def test_a_row_that_is_no_entry_is_left_out_and_said(kept: Kept) -> None:
    def by_hand(connection: Connection) -> None:
        rows = [{"list": "block", "number": number, "added": AT} for number in ("nobody", "+1415*")]
        connection.execute(insert(entries), rows)

    kept.do(by_hand)
    kept.now += timedelta(seconds=1)
    with structlog.testing.capture_logs() as logs:
        kept.puts("vip", "+14155550199")
    assert [line["event"] for line in logs] == ["entries left out", "lists read again"]
    assert kept.rule() == "reject by block pattern"


def test_a_change_by_another_process_is_noticed_by_one_that_runs(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url, start=False)
    lists = LiveLists(lambda: AT)
    block = lists.numbers("block", US, [NumberList(["+14155550199"])])
    memory.every(0.05, lists.refresh)
    memory.start()
    assert [NUMBER in each for each in block] == [False]
    with Database(url).connect() as connection, connection.begin():
        put(connection, Entry("block", NUMBER), AT)
    until(lambda: [NUMBER in each for each in block] == [False, True], "the other's entry is seen")


def test_a_hundred_thousand_contacts_are_kept_and_read(kept: Kept) -> None:
    names = [(f"+1415{n + 2_000_000:07d}", f"Person {n}") for n in range(100_000)]
    assert kept.do(lambda connection: put_contacts(connection, names, AT)) == (100_000, 0)
    kept.looks()
    assert kept.rule(names[-1][0]) == "ring by contacts"
