"""The daily ledger: what was spent today in total, by number and by caller, and whether another call fits in.

Each call reserves its expected cost when it begins, so that a hundred simultaneous calls do not all claim the
same remaining budget. When a call ends, its unused reservation is released.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import structlog

from screening.contract import Caller
from screening.costs.caps import NO_CAP, NOTHING, Amount, Budget, Budgets, BudgetWarning, Cap

log = structlog.get_logger("screendoor")

WARN_AT = Decimal("0.8")
WHOLE = Decimal(1)
MAX_CALLERS = 100_000
"""Callers tracked; beyond it the least recently seen is dropped."""
DECAY = Decimal("0.9")
"""Decay of the expected cost per call after a cheaper one."""
ONE_DAY = timedelta(days=1)

OnWarning = Callable[[BudgetWarning], None]


@dataclass(slots=True)
class Account:
    """Amounts spent today and reserved, of one cap."""

    key: str
    cap: Cap
    day: date
    spent: Amount = NOTHING
    reserved: Amount = NOTHING
    calls: int = 0
    """Calls in progress with a reservation."""
    dialed: str | None = None
    caller: str | None = None
    reported: dict[str, Decimal] = field(default_factory=dict)
    """The share last reported today, by kind."""

    def on(self, day: date) -> Account:
        """Roll over to this day: a new day starts from zero, except for reservations.

        A call counts for the day it began on, yesterday at the earliest. A day longer ago than that means
        that our clock was ahead and has been corrected: the account moves to that day and keeps what was
        spent.
        """
        if day > self.day:
            self.day, self.spent = day, NOTHING
            self.reported.clear()
        elif self.day - day > ONE_DAY:
            self.day = day
        return self


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call from before this start."""

    dialed: str
    caller: str | None
    at: datetime
    amount: Amount


class Reservation:
    """What one call reserves and spends."""

    def __init__(
        self, own: Account, accounts: tuple[Account, ...], reserved: Amount,
        spend: Callable[[Account, Amount], None], learn: Callable[[Amount], None],
    ) -> None:  # fmt: skip
        """`own` has the cap of this call alone."""
        self._own, self._accounts, self._reserved = own, accounts, reserved
        self._spend, self._learn = spend, learn
        self._noted = NOTHING
        self._open = True
        for account in accounts:
            account.reserved += reserved
            account.calls += 1

    def note(self, amount: Amount) -> None:
        """Record the total spent so far; it is taken from the reservation."""
        if not self._open:
            return
        more, self._noted = amount - self._noted, amount
        left = (self._reserved - more).maximum(NOTHING)
        for account in self._accounts:
            account.reserved += left - self._reserved
            self._spend(account, more)
        self._spend(self._own, more)
        self._reserved = left

    def close(self, amount: Amount) -> None:
        """Release the rest of the reservation; further calls do nothing."""
        if not self._open:
            return
        self.note(amount)
        self._open = False
        for account in self._accounts:
            account.calls -= 1
            account.reserved = account.reserved - self._reserved if account.calls else NOTHING
        if amount != NOTHING:
            self._learn(amount)

    def exceeded(self, amount: Amount) -> str | None:
        """Why the budget of this call is spent, if it is."""
        spent = any(share >= WHOLE for _, share in self._own.cap.reached(amount))
        return "the budget of this call is spent" if spent else None


def unlimited_reservation() -> Reservation:
    """A reservation without caps, in no ledger."""
    nobody = Account("call", NO_CAP, date.min)
    return Reservation(nobody, (), NOTHING, lambda account, amount: None, lambda amount: None)


class Ledger:
    """The ledger of the day. No method waits."""

    def __init__(
        self, budgets: Budgets, clock: Callable[[], datetime], on_warning: OnWarning = lambda warning: None
    ) -> None:
        """`clock` gives an aware datetime; `on_warning` hears of each cap at 80 % and 100 %, once a day."""
        self._budgets, self._clock, self.on_warning = budgets, clock, on_warning
        self._all = Account("day", budgets.all_numbers.number, budgets.all_numbers.day(clock()))
        self._numbers: dict[str, Account] = {}
        self._callers: OrderedDict[tuple[str, str | None], Account] = OrderedDict()
        self._expected: dict[str, Amount] = {}
        self._ahead: list[tuple[Account, date, Amount]] = []
        """What was spent on days that are still to come by our clock, by account."""
        self._call_warnings: dict[tuple[str | None, str, bool], date] = {}
        """When a call was last reported for nearing or reaching its cap."""

    def open(self, caller: Caller, guess: Amount) -> Reservation | str:
        """Reserve the expected cost of a call, or return why no budget is left for it.

        `guess` is the expected cost until a call of this agent has been measured.
        """
        if self._ahead:
            self._restore_ahead()
        budget = self._budget(caller.dialed)
        expected = budget.call.capped(self._expected.get(caller.agent, guess))
        accounts = tuple(self._accounts(caller.dialed, caller.number, caller.at))
        for account in accounts:
            if why := self._no_room(account, expected):
                return why

        def learn(amount: Amount) -> None:
            self._expected[caller.agent] = (
                self._expected.get(caller.agent, amount).share(DECAY).maximum(amount)
            )

        own = Account("call", budget.call, budget.day(caller.at), dialed=caller.dialed, caller=caller.number)
        return Reservation(own, accounts, expected, self._spend, learn)

    def restore(self, past: PastCall) -> None:
        """Add a call from before this start if it was today; caps it reached are not reported again."""
        now = self._clock()
        for account, day in self._accounts_with_days(past.dialed, past.caller, past.at):
            if not self._restored(account, day, past.amount, now):
                self._ahead.append((account, day, past.amount))

    def _restored(self, account: Account, day: date, amount: Amount, now: datetime) -> bool:
        """Restore this amount if it was spent today; returns False if that day is still to come."""
        today = account.on(self._today(account, now)).day
        if day == today:
            account.spent += amount
            account.reported.update(dict(account.cap.reached(account.spent)))
        return day <= today

    def _restore_ahead(self) -> None:
        """Restore what was spent today, if our clock was a day behind when it was read."""
        now = self._clock()
        self._ahead = [each for each in self._ahead if not self._restored(*each, now)]

    def today(self) -> list[tuple[str | None, Amount, Amount]]:
        """What was spent today and what is reserved, by dialed number; None: all numbers."""
        now = self._clock()
        found = [self._all, *self._numbers.values()]
        return [
            (account.dialed, account.spent, account.reserved)
            for account in (each.on(self._today(each, now)) for each in found)
        ]

    def _budget(self, dialed: str) -> Budget:
        return self._budgets.of_number.get(dialed, self._budgets.all_numbers)

    def _today(self, account: Account, now: datetime) -> date:
        zoned = self._budgets.all_numbers if account.dialed is None else self._budget(account.dialed)
        return zoned.day(now)

    def _accounts(self, dialed: str, caller: str | None, at: datetime) -> Iterator[Account]:
        return (account.on(day) for account, day in self._accounts_with_days(dialed, caller, at))

    def _accounts_with_days(
        self, dialed: str, caller: str | None, at: datetime
    ) -> Iterator[tuple[Account, date]]:
        """The accounts that a call counts for, each with its day.

        Uncapped callers have none, which saves memory.
        """
        budget = self._budget(dialed)
        day = budget.day(at)
        yield self._all, self._budgets.all_numbers.day(at)
        if dialed not in self._numbers:
            self._numbers[dialed] = Account("number", budget.number, day, dialed=dialed)
        yield self._numbers[dialed], day
        if budget.caller.is_set:
            yield self._caller_account(dialed, caller, budget.caller, day), day

    def _caller_account(self, dialed: str, caller: str | None, cap: Cap, day: date) -> Account:
        """Withheld numbers count as one caller."""
        who = (dialed, caller)
        found = self._callers.get(who)
        if found is None:
            found = self._callers[who] = Account("caller", cap, day, dialed=dialed, caller=caller)
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
        self._callers.move_to_end(who)
        return found

    def _no_room(self, account: Account, expected: Amount) -> str | None:
        """Why another call does not fit: the cap is reached, or the rest is reserved by calls in progress."""
        scope = {"day": "", "number": " of this number", "caller": " of this caller"}[account.key]
        for kind, share in account.cap.reached(account.spent):
            if share >= WHOLE:
                return f"the budget{scope} for today is spent: {self._usage(account, kind)}"
        if not account.calls:
            return None
        for kind, share in account.cap.reached(account.spent + account.reserved + expected):
            if share > WHOLE:
                return f"the budget{scope} for today is taken by calls going on: {self._usage(account, kind)}"
        return None

    def _spend(self, account: Account, amount: Amount) -> None:
        account.on(self._today(account, self._clock())).spent += amount
        for kind, share in account.cap.reached(account.spent):
            before, account.reported[kind] = account.reported.get(kind, Decimal(0)), share
            if any(before < mark <= share for mark in (WARN_AT, WHOLE)):
                self._warn(account, kind, share)

    def _warn(self, account: Account, kind: str, share: Decimal) -> None:
        cap, spent = f"{account.key}_{kind}", self._usage(account, kind)
        reached = share >= WHOLE
        what = "budget spent" if reached else "budget nearly spent"
        log.warning(what, cap=cap, spent=spent, number=_mask(account.dialed), caller=_mask(account.caller))
        if account.key == "call":  # there may be many: reported once a day
            which = (account.dialed, kind, reached)
            if self._call_warnings.get(which) == account.day:
                return
            self._call_warnings[which] = account.day
        warning = BudgetWarning(
            cap, account.dialed, account.caller, spent, round(float(share), 3), account.day, reached
        )
        self.on_warning(warning)

    def _usage(self, account: Account, kind: str) -> str:
        spent, limit = getattr(account.spent, kind), getattr(account.cap, kind)
        unit = self._budgets.currency if kind == "money" else kind
        return f"{float(spent):.6g} of {float(limit):.6g} {unit}"


def _mask(number: str | None) -> str | None:
    """The last four digits: whole numbers must not be logged."""
    return number and f"…{number[-4:]}"
