"""Which legs of a direct session are joined, and how a failed join is undone."""

from __future__ import annotations

import pytest

from proxy.media.direct_pairing import DirectPairing

EVERYBODY = ("caller", "agent", "phone")


@pytest.fixture
def pairs() -> DirectPairing:
    """The caller was with the agent, and is with the phone now."""
    pairs = DirectPairing()
    pairs.join("caller", "agent")
    pairs.part("caller")
    pairs.part("phone")
    pairs.join("caller", "phone")
    return pairs


def partners(pairs: DirectPairing) -> list[str | None]:
    return [pairs.partner(leg) for leg in EVERYBODY]


def test_each_is_with_one_other_and_that_one_with_it(pairs: DirectPairing) -> None:
    assert partners(pairs) == ["phone", None, "caller"]
    pairs.part("phone")
    assert partners(pairs) == [None, None, None]


@pytest.mark.parametrize("leg", ["caller", "phone"])
def test_a_join_that_comes_to_nothing_has_everybody_where_he_was(pairs: DirectPairing, leg: str) -> None:
    assert list(pairs.undo_join(leg, EVERYBODY)) == ["caller"]
    assert partners(pairs) == ["agent", "caller", None]


def test_nobody_is_taken_back_to_one_who_has_left(pairs: DirectPairing) -> None:
    assert list(pairs.undo_join("phone", ("caller", "phone"))) == []
    assert partners(pairs) == [None, None, None]


def test_nobody_is_taken_back_to_one_who_is_gone_and_has_come_again(pairs: DirectPairing) -> None:
    pairs.forget("agent")
    assert list(pairs.undo_join("phone", EVERYBODY)) == []


def test_who_cannot_talk_but_through_us_is_so_either_way_until_one_is_gone(pairs: DirectPairing) -> None:
    pairs.require_relay("caller", "phone")
    assert pairs.requires_relay("phone", "caller")
    assert not pairs.requires_relay("caller", "agent")
    pairs.forget("phone")
    assert not pairs.requires_relay("caller", "phone")


def test_all_is_forgotten_at_the_end(pairs: DirectPairing) -> None:
    pairs.require_relay("caller", "phone")
    pairs.clear()
    assert partners(pairs) == [None, None, None]
    assert not pairs.requires_relay("caller", "phone")
    assert list(pairs.undo_join("caller", EVERYBODY)) == []
