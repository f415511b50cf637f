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


class Setup:
    """A database, the live lists made from it, and a clock."""

    def __init__(self, url: str) -> None:
        self._database, self.now = Database(url), AT
        self.lists = LiveLists(lambda: self.now, self.do)
        numbers = {which: self.lists.numbers(which, US, ()) for which in ("block", "vip", "allow")}
        self.policy = Policy(**numbers, contacts=self.lists.contacts(US, ()), expecting=self.lists.expecting)
        self.refresh()

    def refresh(self) -> None:
        self.do(self.lists.refresh)

    def do(self, work: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection, connection.begin():
            return work(connection)

    def add(self, which: str, number: str, **fields: object) -> None:
        # type: ignore[arg-type]
        self.do(lambda connection: put(connection, Entry(which, number, **fields), AT))
        self.refresh()

    def rule(self, number: str = NUMBER) -> str:
        decision = self.policy.decide(self.caller(number))
        return f"{decision.action.value} by {decision.rule}"

    def caller(self, number: str | None = NUMBER) -> Caller:
        return Caller("c", number, None, US, "openai", self.now)


@pytest.fixture
def setup(url: str) -> Setup:
    return Setup(url)


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
def test_an_entry_applies_until_it_is_removed(setup: Setup, which: str, number: str, rule: str) -> None:
    assert setup.rule() == "ask by level"
    setup.add(which, number)
    assert setup.rule() == rule
    setup.do(lambda connection: remove_number(connection, number))
    setup.refresh()
    assert setup.rule() == "ask by level"


def test_an_entry_for_one_dialed_number_does_not_apply_to_others(setup: Setup) -> None:
    setup.add("block", NUMBER, dialed="+493012345678")
    assert setup.rule() == "ask by level"
    setup.add("block", NUMBER, dialed=US)
    assert setup.rule() == "reject by block"


def test_an_entry_applies_until_its_end_time(setup: Setup) -> None:
    setup.add("block", NUMBER, until=AT + timedelta(minutes=5))
    assert setup.rule() == "reject by block"
    setup.now += timedelta(minutes=5)
    setup.refresh()
    assert setup.rule() == "ask by level"


def test_an_entry_expired_by_a_wrong_clock_applies_again_after_correction(setup: Setup) -> None:
    setup.add("block", NUMBER, until=AT + timedelta(minutes=5))
    setup.add("expected", ANYBODY, dialed=US, until=AT + timedelta(minutes=5))
    setup.now += timedelta(days=1)
    setup.refresh()
    assert setup.rule() == "ask by level"
    setup.now -= timedelta(days=1)
    setup.refresh()
    assert setup.rule() == "reject by block"
    assert setup.lists.expecting.find(None, setup.caller(None)) is not None


def test_an_expected_call_is_found_until_its_time(setup: Setup) -> None:
    setup.add("expected", NUMBER, until=AT + timedelta(minutes=5))
    found = setup.lists.expecting.find(NUMBER, setup.caller())
    assert found is not None
    assert (found.number, found.until) == (NUMBER, AT + timedelta(minutes=5))
    assert setup.lists.expecting.find_number("+14155550199", setup.caller("+14155550199")) is None
    setup.add("expected", ANYBODY, dialed=US, until=AT + timedelta(minutes=5))
    assert setup.lists.expecting.find(None, setup.caller(None)) is not None
    setup.now += timedelta(minutes=5)
    assert setup.lists.expecting.find(NUMBER, setup.caller()) is None


def test_expected_calls_are_counted_down_across_a_restart(setup: Setup, url: str) -> None:
    setup.add("expected", ANYBODY, calls=3)
    for left in (2, 1):
        assert setup.rule() == "ring by expected"
        setup.policy.note_expected_call(setup.caller())
        assert setup.do(lambda c: [row["calls"] for row in find_entries(c, "expected")]) == [left]
    setup = Setup(url)
    assert setup.rule() == "ring by expected"
    setup.policy.note_expected_call(setup.caller())
    assert setup.rule() == "ask by level"
    setup.refresh()
    assert setup.rule() == "ask by level"
    assert setup.do(lambda c: find_entries(c, "expected")) == []


def test_counting_the_same_expected_call_twice_decrements_once(setup: Setup) -> None:
    setup.add("expected", NUMBER, calls=2)
    place = setup.do(lambda c: find_entries(c, "expected"))[0]["id"]
    for _ in range(2):
        setup.do(lambda c: count_expected(c, place, 1))
    assert setup.do(lambda c: find_entries(c, "expected"))[0]["calls"] == 1


def test_a_known_caller_does_not_use_up_an_expectation_of_anybody(setup: Setup) -> None:
    setup.add("contact", NUMBER)
    setup.add("expected", ANYBODY, calls=1)
    setup.policy.note_expected_call(setup.caller())
    assert setup.rule("+14155550199") == "ring by expected"


def test_contacts_have_their_names(setup: Setup) -> None:
    setup.do(lambda connection: put_contacts(connection, [(NUMBER, "Anna")], AT))
    setup.refresh()
    assert setup.policy.contacts[0].name(NUMBER) == "Anna"


def test_an_invalid_row_is_skipped_and_logged(setup: Setup) -> None:
    def by_hand(connection: Connection) -> None:
        rows = [{"list": "block", "number": number, "added": AT} for number in ("nobody", "+1415*")]
        connection.execute(insert(entries), rows)

    setup.do(by_hand)
    setup.now += timedelta(seconds=1)
    with structlog.testing.capture_logs() as logs:
        setup.add("vip", "+14155550199")
    assert [line["event"] for line in logs] == ["entries left out", "lists read again"]
    assert setup.rule() == "reject by block pattern"


def test_a_change_by_another_process_is_noticed(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url, start=False)
    lists = LiveLists(lambda: AT)
    block = lists.numbers("block", US, [NumberList(["+14155550199"])])
    memory.every(0.05, lists.refresh)
    memory.start()
    assert [NUMBER in each for each in block] == [False]
    with Database(url).connect() as connection, connection.begin():
        put(connection, Entry("block", NUMBER), AT)
    until(lambda: [NUMBER in each for each in block] == [False, True], "the other's entry is seen")


def test_a_hundred_thousand_contacts_are_stored_and_loaded(setup: Setup) -> None:
    names = [(f"+1415{n + 2_000_000:07d}", f"Person {n}") for n in range(100_000)]
    assert setup.do(lambda connection: put_contacts(connection, names, AT)) == (100_000, 0)
    setup.refresh()
    assert setup.rule(names[-1][0]) == "ring by contacts"
