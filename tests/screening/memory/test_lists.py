"""The lists in the database: inserting, querying and deleting entries."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from screening.memory import lists
from screening.memory.lists import Entry, put, put_contacts
from screening.memory.store import Memory
from tests.screening.memory.records import AT
from tests.screening.memory.test_store import WAIT_S

pytestmark = pytest.mark.network

NUMBER = "+14155550100"


def numbers(connection: Connection, which: str) -> list[str]:
    return [entry["number"] for entry in lists.find_entries(connection, which)]


@pytest.mark.parametrize(
    ("which", "text", "kept"),
    [
        ("allow", "(415) 555-0100", NUMBER),
        ("block", "+1900*", "+1900*"),
        ("block", "+1 415 555 0100..+1 415 555 0199", "+1 415 555 0100..+1 415 555 0199"),
        ("vip", "911", "911"),
        ("contact", "415 555 0100", NUMBER),
        ("expected", "*", "*"),
        ("expected", "415-555-0100", NUMBER),
    ],
)
def test_numbers_are_stored_normalised(which: str, text: str, kept: str) -> None:
    assert lists.normalized(which, text, "us") == kept


@pytest.mark.parametrize(
    ("which", "text"), [("friends", NUMBER), ("contact", "+1900*"), ("expected", "9"), ("block", "nobody")]
)
def test_an_invalid_entry_is_refused(which: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        lists.normalized(which, text, "us")


def test_putting_the_same_number_again_replaces_the_entry(memory: Memory) -> None:
    def work(connection: Connection) -> None:
        first, new = put(connection, Entry("block", NUMBER, note="rude"), AT)
        assert new
        assert put(connection, Entry("block", NUMBER, note="very rude"), AT) == (first, False)
        another, new = put(connection, Entry("block", NUMBER, dialed="+14155551234"), AT)
        assert new
        assert another != first
        entry = lists.get_entry(connection, first)
        assert entry is not None
        assert (entry["note"], entry["added"]) == ("very rude", AT)
        assert put(connection, Entry("block", "+14155550199"), AT, first) == (first, False)
        assert [each["id"] for each in lists.find_entries(connection, number=NUMBER)] == [another]
        with pytest.raises(LookupError):
            put(connection, Entry("allow", NUMBER), AT, first)

    memory.submit(work).result(WAIT_S)


def test_a_number_is_removed_from_one_list_or_all_without_affecting_others(memory: Memory) -> None:
    def work(connection: Connection) -> None:
        for which in ("allow", "block", "vip"):
            put(connection, Entry(which, NUMBER), AT)
        put(connection, Entry("allow", "+14155550199"), AT)
        assert lists.remove_number(connection, NUMBER, "allow") == 1
        assert [each["list"] for each in lists.find_entries(connection, number=NUMBER)] == ["vip", "block"]
        assert lists.remove_number(connection, NUMBER) == 2
        assert [each["number"] for each in lists.find_entries(connection)] == ["+14155550199"]

    memory.submit(work).result(WAIT_S)


def test_the_revision_grows_with_every_real_change(memory: Memory) -> None:
    def work(connection: Connection) -> None:
        seen = [lists.revision(connection)]

        def grown(happened: bool) -> None:
            seen.append(lists.revision(connection))
            assert (seen[-1] > seen[-2]) is happened

        place, _ = put(connection, Entry("vip", NUMBER), AT)
        grown(True)
        assert put_contacts(connection, [(NUMBER, "Anna"), ("+14155550101", "Bob")], AT) == (2, 0)
        grown(True)
        assert put_contacts(connection, [(NUMBER, "Anna"), ("+14155550101", "")], AT) == (0, 0)
        grown(False)
        assert put_contacts(connection, [(NUMBER, "Anna B.")], AT) == (0, 1)
        grown(True)
        assert not lists.remove(connection, place, "allow")
        grown(False)
        assert lists.remove(connection, place)
        grown(True)
        assert lists.remove_number(connection, NUMBER) == 1
        grown(True)
        assert numbers(connection, "contact") == ["+14155550101"]

    memory.submit(work).result(WAIT_S)


def test_lists_are_paged_latest_first(memory: Memory) -> None:
    def work(connection: Connection) -> None:
        for n in range(5):
            put(connection, Entry("allow", f"+1415555010{n}"), AT)
        page = lists.find_entries(connection, "allow", limit=2)
        assert [each["number"][-1] for each in page] == ["4", "3"]
        page = lists.find_entries(connection, "allow", after=page[-1]["id"], limit=2)
        assert [each["number"][-1] for each in page] == ["2", "1"]

    memory.submit(work).result(WAIT_S)
