"""Expected calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from screening.callers.expected import Expectation, ExpectationList
from screening.contract import Caller

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COURIER, OTHER = "+14155550177", "+16505550100"


def caller(number: str | None, dialed: str = "+14155551234", at: datetime = AT) -> Caller:
    return Caller("c1", number, None, dialed, "", at)


def test_an_expectation_applies_to_its_number_dialed_number_and_time() -> None:
    wanted = Expectation(COURIER, "+14155551234", AT + timedelta(hours=1))
    expected = ExpectationList([wanted])
    assert expected.find(COURIER, caller(COURIER)) == wanted
    assert expected.find(OTHER, caller(OTHER)) is None
    assert expected.find(COURIER, caller(COURIER, "+14155559999")) is None
    assert expected.find(COURIER, caller(COURIER, at=AT + timedelta(hours=1))) is None
    assert expected.find(None, caller(None)) is None


def test_an_expectation_of_anybody_is_removed_after_its_number_of_calls() -> None:
    expected = ExpectationList([Expectation(calls=2)])
    for _ in range(2):
        found = expected.find(None, caller(None))
        assert found is not None
        expected.use_up(found)
    assert expected.find(None, caller(None)) is None
    assert list(expected) == []


def test_an_expectation_of_a_number_precedes_one_of_anybody() -> None:
    named = Expectation(COURIER)
    expected = ExpectationList([Expectation(calls=1), named])
    assert expected.find(COURIER, caller(COURIER)) is named
    expected.use_up(named)
    assert len(list(expected)) == 2
    assert expected.find_number(OTHER, caller(OTHER)) is None


def test_using_up_an_unlisted_expectation_changes_nothing() -> None:
    expected = ExpectationList([Expectation(COURIER)])
    expected.use_up(Expectation(calls=1))
    assert list(expected) == [Expectation(COURIER)]
