"""Which legs of a direct session are joined, and how a failed join is undone."""

from __future__ import annotations

import pytest

from proxy.media.direct_pairing import DirectPairing

LEGS = ("caller", "agent", "phone")


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
    return [pairs.partner(leg) for leg in LEGS]


def test_pairing_is_mutual_and_exclusive(pairs: DirectPairing) -> None:
    assert partners(pairs) == ["phone", None, "caller"]
    pairs.part("phone")
    assert partners(pairs) == [None, None, None]


@pytest.mark.parametrize("leg", ["caller", "phone"])
def test_undo_join_restores_the_previous_pair(pairs: DirectPairing, leg: str) -> None:
    assert list(pairs.undo_join(leg, LEGS)) == ["caller"]
    assert partners(pairs) == ["agent", "caller", None]


def test_undo_join_restores_no_pair_with_a_leg_that_has_left(pairs: DirectPairing) -> None:
    assert list(pairs.undo_join("phone", ("caller", "phone"))) == []
    assert partners(pairs) == [None, None, None]


def test_undo_join_restores_no_pair_with_a_leg_forgotten_since(pairs: DirectPairing) -> None:
    pairs.forget("agent")
    assert list(pairs.undo_join("phone", LEGS)) == []


def test_relay_requirement_is_mutual_and_ends_when_a_leg_is_forgotten(pairs: DirectPairing) -> None:
    pairs.require_relay("caller", "phone")
    assert pairs.requires_relay("phone", "caller")
    assert not pairs.requires_relay("caller", "agent")
    pairs.forget("phone")
    assert not pairs.requires_relay("caller", "phone")


def test_clear_forgets_pairs_and_relay_requirements(pairs: DirectPairing) -> None:
    pairs.require_relay("caller", "phone")
    pairs.clear()
    assert partners(pairs) == [None, None, None]
    assert not pairs.requires_relay("caller", "phone")
    assert list(pairs.undo_join("caller", LEGS)) == []
