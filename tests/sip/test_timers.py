"""Timer values against RFC 3261 Table 4 and RFC 6026."""

from __future__ import annotations

import dataclasses

import pytest

from proxy.sip.timers import Timers


@pytest.mark.parametrize(
    ("letter", "seconds"),
    [
        ("a", 0.5), ("b", 32.0), ("d", 32.0), ("e", 0.5), ("f", 32.0), ("g", 0.5),
        ("h", 32.0), ("i", 5.0), ("j", 32.0), ("k", 5.0), ("l", 32.0), ("m", 32.0),
    ],
)  # fmt: skip
def test_timers_have_their_default_values_rfc3261_table_4(letter: str, seconds: float) -> None:
    assert getattr(Timers(), letter) == seconds


def test_all_timers_derive_from_t1_and_t4() -> None:
    slow = Timers(t1=1.0, t4=10.0)
    assert (slow.a, slow.b, slow.i, slow.k, slow.l) == (1.0, 64.0, 10.0, 10.0, 64.0)


def test_timer_d_is_never_below_32_seconds_rfc3261_17_1_1_2() -> None:
    assert Timers(t1=0.1).d == 32.0
    assert Timers(t1=1.0).d == 64.0


def test_timers_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Timers().t1 = 1.0  # type: ignore[misc]


def test_timer_e_reaches_t2_after_three_and_a_half_seconds_rfc4320_4_1() -> None:
    assert Timers().e_at_t2 == 3.5
    assert Timers(t1=4.0).e_at_t2 == 0.0
