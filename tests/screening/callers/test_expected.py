"""Expected calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from screening.callers.expected import Expectation, ExpectationList
from screening.contract import Caller

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COURIER, OTHER = "+14155550177", "+16505550100"


def caller(number: str | None, dialed: str = "+14155551234", at: datetime = AT) -> Caller:
    return Caller("c1", number, None, dialed, "", at)


def test_a_number_is_expected_until_a_time_on_one_number_of_ours() -> None:
    wanted = Expectation(COURIER, "+14155551234", AT + timedelta(hours=1))
    expected = ExpectationList([wanted])
    assert expected.find(COURIER, caller(COURIER)) == wanted
    assert expected.find(OTHER, caller(OTHER)) is None
    assert expected.find(COURIER, caller(COURIER, "+14155559999")) is None
    assert expected.find(COURIER, caller(COURIER, at=AT + timedelta(hours=1))) is None
    assert expected.find(None, caller(None)) is None


def test_the_next_calls_of_anybody_are_counted_down() -> None:
    expected = ExpectationList([Expectation(calls=2)])
    for _ in range(2):
        found = expected.find(None, caller(None))
        assert found is not None
        expected.use_up(found)
    assert expected.find(None, caller(None)) is None
    assert list(expected) == []


def test_who_is_named_comes_before_anybody() -> None:
    named = Expectation(COURIER)
    expected = ExpectationList([Expectation(calls=1), named])
    assert expected.find(COURIER, caller(COURIER)) is named
    expected.use_up(named)
    assert len(list(expected)) == 2
    assert expected.find_number(OTHER, caller(OTHER)) is None


def test_a_call_of_somebody_else_uses_nothing_up() -> None:
    expected = ExpectationList([Expectation(COURIER)])
    expected.use_up(Expectation(calls=1))
    assert list(expected) == [Expectation(COURIER)]
