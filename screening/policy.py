"""What to do with a caller before anything rings: an ordered list of rules, of which the first match decides.

     emergency       the number of an emergency service, or marked as its call-back: rings, always
     block           listed as a number on the block list: refused
     vip             on the VIP list: rings, at any hour
     block pattern   matches a prefix, range or wildcard of the block list, and is not known: refused
     block name      the name matches a name pattern of the block list, and the number is not known: refused
     failed          the number failed its verification: as `failed` says, if set
     expected        an expected call: rings, at any hour
     rate            called too often recently, and is not known: as `rate_action` says
     anonymous       no number was shown: as `anonymous` says, if set
     international   a foreign number that is not known: as `international` says, if set
     hours           outside the hours, within quiet hours, on a holiday: as `out_of_hours` says; but a
                     second call within `repeat_s` goes on to the next rule
     allow           on the allow list: rings
     contacts        in the contacts: rings, unless everybody is asked
     level           everybody else: as the level says

"Known" means on the allow list or in the contacts. While the number is closed, ``failed``, ``anonymous`` and
``international`` leave a caller they would ring or ask to ``hours``.

Any caller ID can be spoofed. A number whose verification (STIR/SHAKEN) gave a result in `distrust` counts as
neither VIP nor known nor expected, for somebody else may be calling. A number that nobody verified is
believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from screening.callers.contacts import Contacts
from screening.callers.expected import NONE_EXPECTED, ExpectedCalls
from screening.callers.number_list import NumberList
from screening.callers.numbering import country_of, normalize
from screening.callers.timetable import ALWAYS_OPEN, Timetable
from screening.callers.wildcards import Wildcards
from screening.contract import Caller
from screening.decision import Action, Decision, Doubt, Level, Rate

LONGEST_NAME = 80
"""Characters of a name that are compared."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The screening rules of one dialled number. Several lists of a kind count as one."""

    level: Level = Level.UNKNOWN
    country: str = "us"
    """Country assumed for callers' numbers without ``+``."""
    home: frozenset[str] = frozenset()
    """Countries (two capital letters) whose numbers do not count as international."""
    emergency: Sequence[NumberList] = ()
    block: Sequence[NumberList] = ()
    block_names: Sequence[Wildcards] = ()
    """Normalised by `normalized_name`."""
    vip: Sequence[NumberList] = ()
    allow: Sequence[NumberList] = ()
    contacts: Sequence[Contacts] = ()
    anonymous: Action | None = None
    international: Action | None = None
    times: Timetable = ALWAYS_OPEN
    out_of_hours: Action = Action.VOICEMAIL
    untrusted: Action = Action.VOICEMAIL
    """What level `TRUSTED` does with unknown callers."""
    repeat_s: float = 300.0
    """A second call within this time passes the ``hours`` rule; 0: it is treated like the first."""
    distrust: frozenset[Doubt] = frozenset({Doubt.FAILED})
    """Verification results after which a number is not believed."""
    failed: Action | None = None
    """What is done with any number that failed its verification; None: this rule is off."""
    rate: Rate | None = None
    rate_action: Action = Action.VOICEMAIL
    expecting: ExpectedCalls = NONE_EXPECTED
    gate: bool = False
    """Challenge callers before the agent asks them."""
    reject_with: int = 603
    """SIP status for refused callers, one of `contract.REFUSALS`."""
    block_with: int = 603
    """The same for callers on the block list."""
    _active_rules: tuple[tuple[object, Evaluation], ...] = field(init=False, repr=False, compare=False)
    """The rules that can apply here, each with its field's value; a list among these may be empty for now."""
    _fallback: Decision = field(init=False, repr=False, compare=False)
    """What the last rule (the level) says about any caller."""

    def __post_init__(self) -> None:
        pairs = [(getattr(self, rule.field, True), rule.evaluate) for rule in RULES]
        object.__setattr__(self, "_active_rules", tuple(each for each in pairs if each[0] not in _INACTIVE))
        action, why = _LEVELS.get(self.level, (self.untrusted, "the caller is not known"))
        object.__setattr__(self, "_fallback", Decision(action, "level", f"{why} ({self.level.value})"))

    def decide(
        self, caller: Caller, before: datetime | None = None, earlier: Sequence[datetime] = ()
    ) -> Decision:
        """Decide about this caller, whose last call was at `before`, and all recent ones at `earlier`."""
        case = self._case(caller, before, earlier)
        for value, evaluate in self._active_rules:
            if value and (decision := evaluate(self, case)) is not None:
                return decision
        return self._fallback

    def explain(
        self, caller: Caller, before: datetime | None = None, earlier: Sequence[datetime] = ()
    ) -> Iterator[tuple[Rule, Decision | None]]:
        """Yield every rule up to the deciding one, each with its decision."""
        case = self._case(caller, before, earlier)
        for rule in RULES:
            yield rule, (decision := rule.evaluate(self, case))
            if decision is not None:
                return

    def _case(self, caller: Caller, before: datetime | None, earlier: Sequence[datetime]) -> _Case:
        number = normalize(caller.number, self.country) if caller.number else None
        return _Case(number, caller, before, earlier, None if self._distrusts(caller) else number)

    def _distrusts(self, caller: Caller) -> bool:
        """Whether this policy distrusts the number's verification result."""
        said = caller.verification
        if said is None or said.result in ("none", "unknown"):
            return Doubt.NONE in self.distrust
        if said.result == "failed":
            return Doubt.FAILED in self.distrust
        return said.attest in ("B", "C") and Doubt(said.attest) in self.distrust

    def note_expected_call(self, caller: Caller) -> None:
        """Use up one expected call; to be called when the rule ``expected`` let the caller through.

        A known caller does not use up an expectation of "anybody".
        """
        number = self._case(caller, None, ()).trusted_number
        found = self.expecting.find(number, caller)
        if found is not None and (found.number or number is None or not self.knows_number(number)):
            self.expecting.use_up(found)

    def knows_caller(self, caller: Caller) -> bool:
        """Whether the number is known and believed."""
        number = self._case(caller, None, ()).trusted_number
        return number is not None and self.knows_number(number)

    def knows_number(self, number: str) -> bool:
        """Whether the number is on the allow list or in the contacts."""
        return _listed(self.allow, number) or self.in_contacts(number)

    def in_contacts(self, number: str) -> bool:
        return bool(self.contacts) and any(number in each for each in self.contacts)


def normalized_name(name: str) -> str:
    """Normalise a name, or a name pattern, for comparison: case-folded, single spaces."""
    return " ".join(name[:LONGEST_NAME].casefold().split())


@dataclass(slots=True)
class _Case:
    number: str | None
    caller: Caller
    before: datetime | None
    earlier: Sequence[datetime]
    trusted_number: str | None
    """`number`, or None if it is in doubt whether it is the caller's."""


Evaluation = Callable[[Policy, _Case], Decision | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the list above."""

    name: str
    why_not: str
    """Why the rule did not apply, as one line for `screendoor try`."""
    evaluate: Evaluation
    field: str = ""
    """The policy field that switches the rule on; empty if it depends on more than one."""


def _listed(lists: Sequence[NumberList], number: str | None) -> bool:
    if number is not None:
        for each in lists:
            if each.find(number) is not None:
                return True
    return False


def _emergency(policy: Policy, case: _Case) -> Decision | None:
    if case.caller.callback:
        return Decision(Action.RING, "emergency", "marked as the call-back of an emergency service")
    if not _listed(policy.emergency, case.number):
        return None
    return Decision(Action.RING, "emergency", "the number of an emergency service")


def _block(policy: Policy, case: _Case) -> Decision | None:
    if case.number is not None:
        for each in policy.block:
            if case.number in each:
                return Decision(Action.REJECT, "block", "the number is on the block list")
    return None


def _vip(policy: Policy, case: _Case) -> Decision | None:
    return Decision(Action.RING, "vip", "a VIP") if _listed(policy.vip, case.trusted_number) else None


def _block_pattern(policy: Policy, case: _Case) -> Decision | None:
    if case.number is None:
        return None
    for each in policy.block:
        if (entry := each.find_pattern(case.number)) is not None:
            if _known(policy, case):
                return None
            return Decision(Action.REJECT, "block pattern", f'the number matches "{entry}"')
    return None


def _block_name(policy: Policy, case: _Case) -> Decision | None:
    if not case.caller.name or not policy.block_names:
        return None
    name = normalized_name(case.caller.name)
    for each in policy.block_names:
        if (pattern := each.find(name)) is not None:
            if _known(policy, case):
                return None
            return Decision(Action.REJECT, "block name", f'the name matches "{pattern}"')
    return None


def _known(policy: Policy, case: _Case) -> bool:
    number, expecting = case.trusted_number, policy.expecting
    if number is None:
        return False
    if policy.knows_number(number):
        return True
    return expecting is not NONE_EXPECTED and expecting.find_number(number, case.caller) is not None


def _failed(policy: Policy, case: _Case) -> Decision | None:
    said = case.caller.verification
    if policy.failed is None or said is None or said.result != "failed":
        return None
    if _leaves_to_hours(policy, case, policy.failed):
        return None
    return Decision(policy.failed, "failed", f"the number failed its verification by {said.source}")


def _expected(policy: Policy, case: _Case) -> Decision | None:
    if policy.expecting is NONE_EXPECTED or case.number != case.trusted_number:
        return None
    found = policy.expecting.find(case.trusted_number, case.caller)
    return Decision(Action.RING, "expected", str(found)) if found is not None else None


def _rate(policy: Policy, case: _Case) -> Decision | None:
    rate = policy.rate
    if rate is None or len(case.earlier) < rate.calls or _known(policy, case):
        return None
    late = [at for at in case.earlier if 0 <= (case.caller.at - at).total_seconds() < rate.within_s]
    return Decision(policy.rate_action, "rate", str(rate)) if len(late) >= rate.calls else None


def _anonymous(policy: Policy, case: _Case) -> Decision | None:
    if (
        case.number is not None
        or policy.anonymous is None
        or _leaves_to_hours(policy, case, policy.anonymous)
    ):
        return None
    why = "the number is withheld" if case.caller.privacy else "no number came with the call"
    return Decision(policy.anonymous, "anonymous", why)


def _international(policy: Policy, case: _Case) -> Decision | None:
    if case.number is None or policy.international is None or not case.number.startswith("+"):
        return None
    country = country_of(case.number)
    if country in policy.home or _known(policy, case) or _leaves_to_hours(policy, case, policy.international):
        return None
    return Decision(policy.international, "international", f"a number of {country or 'no country'}")


def _leaves_to_hours(policy: Policy, case: _Case, action: Action) -> bool:
    """Whether the hours rule decides first, so that closed hours do not ring or ask."""
    return action in (Action.RING, Action.ASK, Action.CHALLENGE) and _hours(policy, case) is not None


def _hours(policy: Policy, case: _Case) -> Decision | None:
    why = policy.times.closed(case.caller.at)
    if why is None or _called_moments_ago(policy, case):
        return None
    return Decision(policy.out_of_hours, "hours", why)


def _called_moments_ago(policy: Policy, case: _Case) -> bool:
    """Whether the caller called moments ago: whoever insists may be in need."""
    if case.before is None:
        return False
    return 0 <= (case.caller.at - case.before).total_seconds() < policy.repeat_s


def _allow(policy: Policy, case: _Case) -> Decision | None:
    if not _listed(policy.allow, case.trusted_number):
        return None
    return Decision(Action.RING, "allow", "the number is on the allow list")


def _contacts(policy: Policy, case: _Case) -> Decision | None:
    if (
        case.trusted_number is None
        or policy.level is Level.EVERYONE
        or not policy.in_contacts(case.trusted_number)
    ):
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
    Rule("failed", "verification did not fail, no action is set for it, or closed hours decide",
         _failed, "failed"),
    Rule("expected", "not a call that is expected", _expected, "expecting"),
    Rule("rate", "not called too often, a known number, or no rate is set", _rate, "rate"),
    Rule("anonymous", "the number is shown, no action is set, or closed hours decide",
         _anonymous, "anonymous"),
    Rule("international", "not from abroad, a known number, no action is set, or closed hours decide",
         _international, "international"),
    Rule("hours", "open at this time, or a second call", _hours, "times"),
    Rule("allow", "the number is not on the allow list, or in doubt", _allow, "allow"),
    Rule("contacts", "the number is not in the contacts, or in doubt, or everybody is asked",
         _contacts, "contacts"),
    Rule("level", "", lambda policy, case: policy._fallback),
)  # fmt: skip
"""In order of evaluation; the last one always decides."""
_INACTIVE = (None, (), NONE_EXPECTED, ALWAYS_OPEN)
"""Values of a field that mean its rule can never apply."""
