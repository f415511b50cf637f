"""What to do with a caller before anything rings: rules in one order, of which the first that speaks decides.

    emergency       the number of an emergency service, or marked as its call-back: rings, always
    block           on the block list as a number: refused
    vip             on the VIP list: rings, at any hour
    block pattern   matches a prefix, range or wildcard of the block list, and is not known: refused
    block name      the name matches a name pattern of the block list, and the number is not known: refused
    failed          the number failed its verification: what `failed` says, if it says something
    expected        a call that is expected: rings, at any hour
    rate            called too often of late, and is not known: what `rate_action` says
    anonymous       no number was shown: what `anonymous` says, if it says something
    international   a number from abroad that is not known: what `international` says, if it says something
    hours           outside the hours, within quiet hours, on a holiday: what `out_of_hours` says; but a
                    second call within `repeat_s` goes on to the next rule
    allow           on the allow list: rings
    contacts        in the contacts: rings, unless everybody is asked
    level           everybody else: what the level says

Known are those on the allow list and in the contacts. ``failed``, ``anonymous`` and ``international`` leave a
caller who would ring or be asked to ``hours`` while that is closed.

Anybody can show any number. One whose verification (STIR/SHAKEN) came to what the policy distrusts is neither
VIP nor known nor expected, for it may be another who calls. A number that nobody verified is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from screening.callers.contacts import Contacts
from screening.callers.expected import NOBODY, Expecting
from screening.callers.number_list import NumberList
from screening.callers.numbering import country_of, normal
from screening.callers.timetable import ALWAYS_OPEN, Timetable
from screening.callers.wildcards import Wildcards
from screening.contract import Caller
from screening.decision import Action, Decision, Doubt, Level, Rate

LONGEST_NAME = 80
"""Characters of a name that are looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one number. Several lists of a kind count as one."""

    level: Level = Level.UNKNOWN
    country: str = "us"
    """Of callers' numbers without ``+``."""
    home: frozenset[str] = frozenset()
    """Countries (two capital letters) whose numbers are not from abroad."""
    emergency: Sequence[NumberList] = ()
    block: Sequence[NumberList] = ()
    block_names: Sequence[Wildcards] = ()
    """In the form that `comparable` gives."""
    vip: Sequence[NumberList] = ()
    allow: Sequence[NumberList] = ()
    contacts: Sequence[Contacts] = ()
    anonymous: Action | None = None
    international: Action | None = None
    times: Timetable = ALWAYS_OPEN
    out_of_hours: Action = Action.VOICEMAIL
    untrusted: Action = Action.VOICEMAIL
    """What level `TRUSTED` does with those who are not known."""
    repeat_s: float = 300.0
    """0: a second call is like the first."""
    distrust: frozenset[Doubt] = frozenset({Doubt.FAILED})
    """What makes a known number one that is not known."""
    failed: Action | None = None
    """What is done with a number that failed its verification, whoever's it is."""
    rate: Rate | None = None
    rate_action: Action = Action.VOICEMAIL
    expecting: Expecting = NOBODY
    gate: bool = False
    """Whether callers are challenged before the agent asks them."""
    reject_with: int = 603
    """How callers are refused: one of `contract.REFUSALS`."""
    block_with: int = 603
    """The same for those on the block list."""
    _judges: tuple[tuple[object, Judge], ...] = field(init=False, repr=False, compare=False)
    """Those rules that have something to go by here, each with that: lists of it may be empty for now."""
    _last: Decision = field(init=False, repr=False, compare=False)
    """What the last of them says, whoever calls."""

    def __post_init__(self) -> None:
        told = [(getattr(self, rule.field, True), rule.judge) for rule in RULES]
        object.__setattr__(self, "_judges", tuple(each for each in told if each[0] not in _NOTHING))
        action, why = _LEVELS.get(self.level, (self.untrusted, "the caller is not known"))
        object.__setattr__(self, "_last", Decision(action, "level", f"{why} ({self.level.value})"))

    def decide(
        self, caller: Caller, before: datetime | None = None, earlier: Sequence[datetime] = ()
    ) -> Decision:
        """What to do with this caller, who last called at the time `before`, and at those of `earlier`."""
        case = self._case(caller, before, earlier)
        for told, judge in self._judges:
            if told and (decision := judge(self, case)) is not None:
                return decision
        return self._last

    def considered(
        self, caller: Caller, before: datetime | None = None, earlier: Sequence[datetime] = ()
    ) -> Iterator[tuple[Rule, Decision | None]]:
        """Every rule up to the one that decides, each with what it said."""
        case = self._case(caller, before, earlier)
        for rule in RULES:
            yield rule, (decision := rule.judge(self, case))
            if decision is not None:
                return

    def _case(self, caller: Caller, before: datetime | None, earlier: Sequence[datetime]) -> _Case:
        number = normal(caller.number, self.country) if caller.number else None
        return _Case(number, caller, before, earlier, None if self._doubts(caller) else number)

    def _doubts(self, caller: Caller) -> bool:
        """Whether the number may be another's, as far as this policy minds."""
        said = caller.verification
        if said is None or said.result in ("none", "unknown"):
            return Doubt.NONE in self.distrust
        if said.result == "failed":
            return Doubt.FAILED in self.distrust
        return said.attest in ("B", "C") and Doubt(said.attest) in self.distrust

    def came(self, caller: Caller) -> None:
        """A call that was let through by the rule ``expected`` is one the less to wait for.

        Somebody who is known is not whom one waits for when one waits for anybody.
        """
        number = self._case(caller, None, ()).believed
        found = self.expecting.find(number, caller)
        if found is not None and (found.number or number is None or not self.known(number)):
            self.expecting.came(found)

    def knows(self, caller: Caller) -> bool:
        """Whether the number is known, and not in doubt."""
        number = self._case(caller, None, ()).believed
        return number is not None and self.known(number)

    def known(self, number: str) -> bool:
        """Whether somebody has written the number down: on the allow list, or in the contacts."""
        return _on(self.allow, number) or self.contact(number)

    def contact(self, number: str) -> bool:
        return bool(self.contacts) and any(number in each for each in self.contacts)


def comparable(name: str) -> str:
    """A name, or a pattern of one, as it is compared: without capitals, and with single spaces."""
    return " ".join(name[:LONGEST_NAME].casefold().split())


@dataclass(slots=True)
class _Case:
    number: str | None
    caller: Caller
    before: datetime | None
    earlier: Sequence[datetime]
    believed: str | None
    """The number again, unless it is doubted that it is the caller's."""


Judge = Callable[[Policy, _Case], Decision | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the order above."""

    name: str
    otherwise: str
    """Why it has nothing to say, in a line for those who ask."""
    judge: Judge
    field: str = ""
    """Where the policy says nothing in this field, neither has the rule; empty: it goes by more than one."""


def _on(lists: Sequence[NumberList], number: str | None) -> bool:
    if number is not None:
        for each in lists:
            if each.find(number) is not None:
                return True
    return False


def _emergency(policy: Policy, case: _Case) -> Decision | None:
    if case.caller.callback:
        return Decision(Action.RING, "emergency", "marked as the call-back of an emergency service")
    if not _on(policy.emergency, case.number):
        return None
    return Decision(Action.RING, "emergency", "the number of an emergency service")


def _block(policy: Policy, case: _Case) -> Decision | None:
    if case.number is not None:
        for each in policy.block:
            if case.number in each:
                return Decision(Action.REJECT, "block", "the number is on the block list")
    return None


def _vip(policy: Policy, case: _Case) -> Decision | None:
    return Decision(Action.RING, "vip", "a VIP") if _on(policy.vip, case.believed) else None


def _block_pattern(policy: Policy, case: _Case) -> Decision | None:
    if case.number is None:
        return None
    for each in policy.block:
        if (entry := each.pattern(case.number)) is not None:
            if _known(policy, case):
                return None
            return Decision(Action.REJECT, "block pattern", f'the number matches "{entry}"')
    return None


def _block_name(policy: Policy, case: _Case) -> Decision | None:
    if not case.caller.name or not policy.block_names:
        return None
    name = comparable(case.caller.name)
    for each in policy.block_names:
        if (pattern := each.find(name)) is not None:
            if _known(policy, case):
                return None
            return Decision(Action.REJECT, "block name", f'the name matches "{pattern}"')
    return None


def _known(policy: Policy, case: _Case) -> bool:
    number, expecting = case.believed, policy.expecting
    if number is None:
        return False
    if policy.known(number):
        return True
    return expecting is not NOBODY and expecting.number(number, case.caller) is not None


def _failed(policy: Policy, case: _Case) -> Decision | None:
    said = case.caller.verification
    if policy.failed is None or said is None or said.result != "failed":
        return None
    if _waits(policy, case, policy.failed):
        return None
    return Decision(policy.failed, "failed", f"the number failed its verification by {said.source}")


def _expected(policy: Policy, case: _Case) -> Decision | None:
    if policy.expecting is NOBODY or case.number != case.believed:
        return None
    found = policy.expecting.find(case.believed, case.caller)
    return Decision(Action.RING, "expected", str(found)) if found is not None else None


def _rate(policy: Policy, case: _Case) -> Decision | None:
    rate = policy.rate
    if rate is None or len(case.earlier) < rate.calls or _known(policy, case):
        return None
    late = [at for at in case.earlier if 0 <= (case.caller.at - at).total_seconds() < rate.within_s]
    return Decision(policy.rate_action, "rate", str(rate)) if len(late) >= rate.calls else None


def _anonymous(policy: Policy, case: _Case) -> Decision | None:
    if case.number is not None or policy.anonymous is None or _waits(policy, case, policy.anonymous):
        return None
    why = "the number is withheld" if case.caller.privacy else "no number came with the call"
    return Decision(policy.anonymous, "anonymous", why)


def _international(policy: Policy, case: _Case) -> Decision | None:
    if case.number is None or policy.international is None or not case.number.startswith("+"):
        return None
    country = country_of(case.number)
    if country in policy.home or _known(policy, case) or _waits(policy, case, policy.international):
        return None
    return Decision(policy.international, "international", f"a number of {country or 'no country'}")


def _waits(policy: Policy, case: _Case, action: Action) -> bool:
    """Whether the hours decide first: they do not let ring what they would not."""
    return action in (Action.RING, Action.ASK, Action.CHALLENGE) and _hours(policy, case) is not None


def _hours(policy: Policy, case: _Case) -> Decision | None:
    why = policy.times.closed(case.caller.at)
    if why is None or _again(policy, case):
        return None
    return Decision(policy.out_of_hours, "hours", why)


def _again(policy: Policy, case: _Case) -> bool:
    """Whether the caller has called a moment ago; whoever insists may be in need."""
    if case.before is None:
        return False
    return 0 <= (case.caller.at - case.before).total_seconds() < policy.repeat_s


def _allow(policy: Policy, case: _Case) -> Decision | None:
    if not _on(policy.allow, case.believed):
        return None
    return Decision(Action.RING, "allow", "the number is on the allow list")


def _contacts(policy: Policy, case: _Case) -> Decision | None:
    if case.believed is None or policy.level is Level.EVERYONE or not policy.contact(case.believed):
        return None
    return Decision(Action.RING, "contacts", "the number is in the contacts")


_LEVELS = {
    Level.OFF: (Action.RING, "nobody is screened"),
    Level.UNKNOWN: (Action.ASK, "the caller is not known"),
    Level.EVERYONE: (Action.ASK, "everybody is asked who is not on the allow list"),
}


RULES = (
    Rule("emergency", "neither the number nor the call-back of an emergency service", _emergency),
    Rule("block", "the number is not on the block list", _block, "block"),
    Rule("vip", "not a VIP, or the number is in doubt", _vip, "vip"),
    Rule("block pattern", "no pattern of the block list, or a known number", _block_pattern, "block"),
    Rule("block name", "no name pattern of the block list, or a known number", _block_name, "block_names"),
    Rule("failed", "the number did not fail, nothing is said of such callers, or it is closed",
         _failed, "failed"),
    Rule("expected", "not a call that is expected", _expected, "expecting"),
    Rule("rate", "not called too often, a known number, or nothing is said of that", _rate, "rate"),
    Rule("anonymous", "the number is shown, nothing is said of such callers, or it is closed",
         _anonymous, "anonymous"),
    Rule("international", "not from abroad, known, nothing is said of them, or it is closed",
         _international, "international"),
    Rule("hours", "open at this time, or a second call", _hours, "times"),
    Rule("allow", "the number is not on the allow list, or in doubt", _allow, "allow"),
    Rule("contacts", "the number is not in the contacts, or in doubt, or everybody is asked",
         _contacts, "contacts"),
    Rule("level", "", lambda policy, case: policy._last),
)  # fmt: skip
"""In the order in which they are asked; the last one always speaks."""
_NOTHING = (None, (), NOBODY, ALWAYS_OPEN)
"""What a field holds that says nothing, now or later."""
