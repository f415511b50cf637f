"""Spending, reservations and warnings of the daily ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import structlog

from screening.contract import Caller
from screening.costs import ledger
from screening.costs.caps import Amount, Budget, Budgets, BudgetWarning, Cap
from screening.costs.ledger import Ledger, PastCall, Reservation

DIALED, OTHER, CALLER = "+14155551234", "+14155554321", "+13475550148"
GUESS = Amount(1.5, 9000, Decimal("0.1"))


class Setup:
    """A ledger, its clock and its warnings."""

    def __init__(self, budget: Budget | None = None, day: Cap | None = None) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.warnings: list[BudgetWarning] = []
        budgets = Budgets({DIALED: budget or Budget()}, Budget(number=day or Cap()))
        self.ledger = Ledger(budgets, lambda: self.now, self.warnings.append)

    def open(
        self, caller: str | None = CALLER, dialed: str = DIALED, guess: Amount = GUESS
    ) -> Reservation | str:
        return self.ledger.open(Caller("c", caller, None, dialed, "openai", self.now), guess)

    def reservation(self, caller: str | None = CALLER, dialed: str = DIALED) -> Reservation:
        reservation = self.open(caller, dialed)
        assert isinstance(reservation, Reservation), reservation
        return reservation

    def spend(
        self, minutes: float = 0.0, tokens: int = 0, money: str = "0", caller: str | None = CALLER
    ) -> None:
        self.reservation(caller).close(Amount(minutes, tokens, Decimal(money)))

    def marks(self) -> list[tuple[str, bool]]:
        return [(each.cap, each.reached) for each in self.warnings]


def test_the_daily_cap_warns_once_at_80_and_once_at_100_percent() -> None:
    setup = Setup(day=Cap(money=Decimal(1)))
    for _ in range(9):
        setup.spend(money="0.1")
    assert setup.marks() == [("day_money", False)]
    setup.spend(money="0.1")
    assert setup.marks() == [("day_money", False), ("day_money", True)]
    assert setup.open() == "the budget for today is spent: 1 of 1 USD"
    assert setup.warnings[0].spent == "0.8 of 1 USD"


def test_budget_log_lines_name_the_cap_and_mask_the_numbers() -> None:
    setup = Setup(Budget(caller=Cap(minutes=10)))
    with structlog.testing.capture_logs() as logs:
        setup.spend(minutes=9)
        setup.spend(minutes=1)
    whose = {"cap": "caller_minutes", "number": "…1234", "caller": "…0148", "log_level": "warning"}
    assert logs == [
        {"event": "budget nearly spent", "spent": "9 of 10 minutes", **whose},
        {"event": "budget spent", "spent": "10 of 10 minutes", **whose},
    ]


def test_spending_is_reset_at_midnight_in_the_time_zone_of_the_number() -> None:
    setup = Setup(Budget(number=Cap(minutes=5), zone=ZoneInfo("America/New_York")))
    setup.spend(minutes=6)
    assert setup.open() == "the budget of this number for today is spent: 6 of 5 minutes"
    setup.now += timedelta(hours=13)  # past midnight in London, not in New York
    assert isinstance(setup.open(), str)
    setup.now += timedelta(hours=4)
    assert isinstance(setup.open(), Reservation)


def test_a_clock_years_ahead_and_corrected_does_not_reset_todays_spending() -> None:
    setup = Setup(day=Cap(minutes=5))
    setup.spend(minutes=4)
    right = setup.now
    setup.now = right.replace(year=2036)
    setup.spend(minutes=4)
    setup.now = right
    setup.spend(minutes=1)
    assert isinstance(setup.open(), str)
    setup.now += timedelta(days=1)
    assert isinstance(setup.open(), Reservation)


def test_a_callers_cap_does_not_affect_other_callers() -> None:
    setup = Setup(Budget(caller=Cap(tokens=10_000)))
    setup.spend(tokens=10_000)
    assert setup.open() == "the budget of this caller for today is spent: 10000 of 10000 tokens"
    assert isinstance(setup.open("+13475550000"), Reservation)
    setup.spend(tokens=10_000, caller=None)
    assert isinstance(setup.open(None), str)
    assert [warning.caller for warning in setup.warnings if warning.reached] == [CALLER, None]


def test_concurrent_calls_reserve_their_share_of_the_budget() -> None:
    setup = Setup(day=Cap(minutes=10))
    reservations = [setup.open(f"+1347555{n:04d}") for n in range(100)]
    going = [reservation for reservation in reservations if isinstance(reservation, Reservation)]
    assert len(going) == 6
    assert reservations[6] == "the budget for today is taken by calls going on: 0 of 10 minutes"
    for reservation in going:
        reservation.close(Amount(minutes=1.0))
    assert setup.ledger.today()[0] == (None, Amount(minutes=6.0), Amount())
    assert isinstance(setup.open(), Reservation)


def test_the_reservation_shrinks_by_what_the_call_spends() -> None:
    setup = Setup(day=Cap(minutes=3))
    reservation = setup.reservation()
    reservation.note(Amount(minutes=1.0))
    _, spent, reserved = setup.ledger.today()[0]
    assert (spent.minutes, reserved.minutes) == (1.0, 0.5)
    reservation.note(Amount(minutes=2.5))
    assert setup.ledger.today()[0][2].minutes == 0.0
    assert isinstance(setup.open(), str)
    reservation.close(Amount(minutes=2.5))
    reservation.close(Amount(minutes=2.5))
    assert isinstance(setup.open(), Reservation)


def test_a_single_call_is_admitted_while_any_budget_is_left() -> None:
    setup = Setup(day=Cap(minutes=1))
    setup.spend(minutes=0.9)
    assert isinstance(setup.open(), Reservation)


def test_the_reservation_follows_the_most_expensive_recent_calls() -> None:
    setup = Setup(day=Cap(money=Decimal(10)))
    setup.spend(money="0.5", minutes=1.0)
    setup.reservation()
    assert setup.ledger.today()[0][2].money == Decimal("0.5")
    for _ in range(30):
        setup.spend(money="0.01")
    assert setup.ledger.today()[0][2].money == Decimal("0.5")
    setup.reservation()
    assert setup.ledger.today()[0][2].money < Decimal("0.53")


def test_a_reservation_is_limited_to_the_cap_of_the_call() -> None:
    setup = Setup(Budget(call=Cap(money=Decimal("0.02"))))
    setup.reservation()
    assert setup.ledger.today()[0][2] == Amount(1.5, 9000, Decimal("0.02"))


def test_a_spent_call_budget_is_reported_and_warned_of_once_a_day() -> None:
    setup = Setup(Budget(call=Cap(money=Decimal("0.10"))))
    for _ in range(3):
        reservation = setup.reservation()
        assert reservation.exceeded(Amount(money=Decimal("0.09"))) is None
        assert reservation.exceeded(Amount(money=Decimal("0.10"))) == "the budget of this call is spent"
        reservation.note(Amount(money=Decimal("0.09")))
        reservation.close(Amount(money=Decimal("0.11")))
    assert setup.marks() == [("call_money", False), ("call_money", True)]
    setup.now += timedelta(days=1)
    setup.spend(money="0.2")
    assert len(setup.warnings) == 3


def test_restored_calls_count_without_repeating_warnings() -> None:
    setup = Setup(day=Cap(minutes=10))
    for hours, minutes in ((13, 5.0), (2, 8.5)):
        setup.ledger.restore(
            PastCall(DIALED, CALLER, setup.now - timedelta(hours=hours), Amount(minutes=minutes))
        )
    assert setup.ledger.today() == [
        (None, Amount(minutes=8.5), Amount()),
        (DIALED, Amount(minutes=8.5), Amount()),
    ]
    setup.spend(minutes=0.5)
    assert setup.warnings == []
    setup.spend(minutes=1.0)
    assert setup.marks() == [("day_minutes", True)]


def test_the_number_of_remembered_callers_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_CALLERS", 100)
    setup = Setup(Budget(caller=Cap(minutes=1)))
    setup.spend(minutes=2)
    for n in range(99):
        setup.spend(minutes=0.1, caller=f"+1347556{n:04d}")
    assert isinstance(setup.open(), str)
    for n in range(100):
        setup.spend(minutes=0.1, caller=f"+1347557{n:04d}")
    assert len(setup.ledger._callers) == 100


def test_a_cap_of_zero_admits_no_call() -> None:
    assert Setup(day=Cap(minutes=0)).open() == "the budget for today is spent: 0 of 0 minutes"
