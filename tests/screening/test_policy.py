"""Each rule of the policy, and their order: the first match decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.callers.contacts import Contacts
from screening.callers.expected import Expectation, ExpectationList
from screening.callers.number_list import NumberList
from screening.callers.timetable import Timetable, parse_window
from screening.callers.wildcards import Wildcards
from screening.contract import Caller, Verification
from screening.decision import Action, Doubt, Level, Rate
from screening.policy import RULES, Policy, normalized_name

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
ANNA, STRANGER, FRIEND = "+14155550100", "+16505550100", "+14155550200"
BOSS, PEST, POLICE, ABROAD = "+14155550300", "+14155550400", "+14155550911", "+4930123456"
KNOWN_ABROAD = "+442079460958"
POLICY = Policy(
    country="US",
    home=frozenset({"US", "CA"}),
    emergency=[NumberList(["911", POLICE])],
    block=[NumberList([PEST, "+14155550*", "+1900*"])],
    block_names=[Wildcards(map(normalized_name, ["*Spam  Likely*", "telemarketer"]))],
    vip=[NumberList([BOSS])],
    allow=[NumberList([FRIEND])],
    contacts=[Contacts({ANNA: "Anna", KNOWN_ABROAD: "Kate"})],
    times=Timetable(quiet=(parse_window("22:00-07:00"),)),
)


def caller(
    number: str | None,
    at: datetime = NOON,
    name: str | None = None,
    *,
    privacy: bool = False,
    verification: Verification | None = None,
    callback: bool = False,
) -> Caller:
    return Caller(
        "c1",
        number,
        name,
        "+14155551234",
        "openai",
        at,
        privacy=privacy,
        verification=verification,
        callback=callback,
    )


def decided(policy: Policy, who: Caller, before: datetime | None = None) -> tuple[str, str]:
    decision = policy.decide(who, before)
    assert list(policy.explain(who, before))[-1][1] == decision
    return decision.rule, decision.action.value


@pytest.mark.parametrize(
    ("number", "by_day", "by_night"),
    [
        (POLICE, ("emergency", "ring"), ("emergency", "ring")),
        ("911", ("emergency", "ring"), ("emergency", "ring")),
        (PEST, ("block", "reject"), ("block", "reject")),
        (BOSS, ("vip", "ring"), ("vip", "ring")),
        ("+19005550100", ("block pattern", "reject"), ("block pattern", "reject")),
        ("+14155550999", ("block pattern", "reject"), ("block pattern", "reject")),
        (ANNA, ("contacts", "ring"), ("hours", "voicemail")),
        ("4155550100", ("contacts", "ring"), ("hours", "voicemail")),
        (FRIEND, ("allow", "ring"), ("hours", "voicemail")),
        (STRANGER, ("level", "ask"), ("hours", "voicemail")),
        (ABROAD, ("level", "ask"), ("hours", "voicemail")),
        (None, ("level", "ask"), ("hours", "voicemail")),
    ],
)
def test_the_first_matching_rule_decides(
    number: str | None, by_day: tuple[str, str], by_night: tuple[str, str]
) -> None:
    assert decided(POLICY, caller(number)) == by_day
    assert decided(POLICY, caller(number, NIGHT)) == by_night


def test_a_number_blocked_exactly_is_rejected_even_if_contact_or_vip() -> None:
    policy = replace(POLICY, block=[NumberList([ANNA, BOSS])])
    assert decided(policy, caller(ANNA)) == decided(policy, caller(BOSS)) == ("block", "reject")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("SPAM LIKELY?", "block name"),
        ("Telemarketer", "block name"),
        ("A Telemarketer", "level"),
        (None, "level"),
    ],
)
def test_names_are_blocked_by_pattern_ignoring_case(name: str | None, rule: str) -> None:
    assert POLICY.decide(caller(STRANGER, name=name)).rule == rule
    assert POLICY.decide(caller(ANNA, name=name)).rule == "contacts"


def test_a_callers_name_never_matches_a_contact() -> None:
    assert decided(POLICY, caller(STRANGER, name="Anna")) == ("level", "ask")


@pytest.mark.parametrize("action", list(Action))
def test_the_anonymous_action_applies_to_callers_without_a_number(action: Action) -> None:
    policy = replace(POLICY, anonymous=action)
    assert decided(policy, caller(None)) == ("anonymous", action.value)
    assert decided(policy, caller(ANNA)) == ("contacts", "ring")
    waits = action in (Action.RING, Action.ASK, Action.CHALLENGE)
    at_night = ("hours", "voicemail") if waits else ("anonymous", action.value)
    assert decided(policy, caller(None, NIGHT)) == at_night


def test_the_anonymous_reason_distinguishes_withheld_and_missing_numbers() -> None:
    policy = replace(POLICY, anonymous=Action.REJECT)
    assert policy.decide(caller(None, privacy=True)).why == "the number is withheld"
    assert policy.decide(caller(None)).why == "no number came with the call"


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (ABROAD, "international"),
        ("+18765550100", "international"),
        ("+16045550100", "level"),
        (STRANGER, "level"),
        (KNOWN_ABROAD, "contacts"),
        ("22000", "level"),
        (None, "level"),
    ],
)
def test_the_international_action_applies_to_unknown_foreign_numbers(number: str | None, rule: str) -> None:
    assert replace(POLICY, international=Action.REJECT).decide(caller(number)).rule == rule


@pytest.mark.parametrize("action", list(Action))
def test_closed_hours_apply_to_international_callers_who_would_ring_or_be_asked(action: Action) -> None:
    policy = replace(POLICY, international=action)
    waits = action in (Action.RING, Action.ASK, Action.CHALLENGE)
    at_night = ("hours", "voicemail") if waits else ("international", action.value)
    assert decided(policy, caller(ABROAD)) == ("international", action.value)
    assert decided(policy, caller(ABROAD, NIGHT)) == at_night


@pytest.mark.parametrize(
    ("level", "friend", "contact", "stranger"),
    [
        (Level.OFF, "ring", "ring", "ring"),
        (Level.UNKNOWN, "ring", "ring", "ask"),
        (Level.EVERYONE, "ring", "ask", "ask"),
        (Level.TRUSTED, "ring", "ring", "voicemail"),
    ],
)
def test_the_level_sets_which_callers_are_asked(
    level: Level, friend: str, contact: str, stranger: str
) -> None:
    policy = replace(POLICY, level=level)
    actions = [policy.decide(caller(who)).action.value for who in (FRIEND, ANNA, STRANGER)]
    assert actions == [friend, contact, stranger]
    assert policy.decide(caller(BOSS)).action is Action.RING


@pytest.mark.parametrize(
    ("ago_s", "rule"), [(None, "hours"), (299, "contacts"), (0, "contacts"), (300, "hours"), (-5, "hours")]
)
def test_a_second_call_within_five_minutes_bypasses_closed_hours(ago_s: int | None, rule: str) -> None:
    before = None if ago_s is None else NIGHT - timedelta(seconds=ago_s)
    assert POLICY.decide(caller(ANNA, NIGHT), before).rule == rule


def test_a_second_call_bypasses_neither_the_block_list_nor_hours_with_repeat_s_0() -> None:
    assert POLICY.decide(caller(PEST, NIGHT), NIGHT).rule == "block"
    assert replace(POLICY, repeat_s=0).decide(caller(ANNA, NIGHT), NIGHT).rule == "hours"


def test_the_reason_names_the_rule_and_the_matching_entry() -> None:
    assert POLICY.decide(caller("+19005550100")).reason == 'block pattern: the number matches "+1900*"'
    assert POLICY.decide(caller(ANNA, NIGHT)).reason == "hours: quiet hours 22:00-07:00"
    named = POLICY.decide(caller(STRANGER, name="Spam likely"))
    assert named.reason == 'block name: the name matches "*spam likely*"'


OPEN = replace(POLICY, block=[NumberList([PEST])])
"""Rules without patterns that known numbers match."""
FAILED, UNSIGNED = Verification("failed", source="header"), Verification("none", source="header")
PASSED = {attest: Verification("passed", attest, source="header") for attest in ("A", "B", "C", None)}


@pytest.mark.parametrize("number", [BOSS, FRIEND, ANNA])
def test_a_known_number_with_failed_verification_is_treated_as_unknown(number: str) -> None:
    assert decided(OPEN, caller(number, verification=FAILED)) == ("level", "ask")
    believing = replace(OPEN, distrust=frozenset())
    assert decided(believing, caller(number, verification=FAILED))[1] == "ring"


@pytest.mark.parametrize("number", [FRIEND, ANNA])
def test_knows_caller_is_false_for_a_number_with_failed_verification(number: str) -> None:
    assert OPEN.knows_caller(caller(number))
    assert not OPEN.knows_caller(caller(number, verification=FAILED))
    assert not OPEN.knows_caller(caller(None))


def test_absent_or_unknown_verification_is_not_distrusted() -> None:
    unknown = Verification("unknown", source="identity", why="no answer")
    for said in (None, UNSIGNED, unknown, *PASSED.values()):
        assert decided(POLICY, caller(ANNA, verification=said)) == ("contacts", "ring")


@pytest.mark.parametrize(
    ("doubts", "asked"),
    [
        ({Doubt.C}, [PASSED["C"]]),
        ({Doubt.B, Doubt.C}, [PASSED["B"], PASSED["C"]]),
        ({Doubt.NONE}, [None, UNSIGNED, Verification("unknown")]),
        ({Doubt.FAILED}, [FAILED]),
    ],
)
def test_each_verification_level_may_be_distrusted(
    doubts: set[Doubt], asked: list[Verification | None]
) -> None:
    policy = replace(POLICY, distrust=frozenset(doubts))
    every = [None, UNSIGNED, Verification("unknown"), FAILED, *PASSED.values()]
    assert [each for each in every if policy.decide(caller(ANNA, verification=each)).rule != "contacts"] == [
        each for each in every if each in asked
    ]


def test_block_patterns_apply_to_a_known_number_with_failed_verification() -> None:
    policy = replace(POLICY, block=[NumberList(["+1415*"])])
    assert decided(policy, caller(ANNA)) == ("contacts", "ring")
    assert decided(policy, caller(ANNA, verification=FAILED)) == ("block pattern", "reject")
    assert decided(policy, caller(POLICE, verification=FAILED)) == ("emergency", "ring")


@pytest.mark.parametrize("action", [Action.REJECT, Action.VOICEMAIL, Action.ASK, Action.RING])
def test_the_failed_action_applies_to_every_caller_with_failed_verification(action: Action) -> None:
    policy = replace(OPEN, failed=action, level=Level.OFF)
    for number in (ANNA, STRANGER, BOSS):
        assert decided(policy, caller(number, verification=FAILED)) == ("failed", action.value)
        assert decided(policy, caller(number, verification=UNSIGNED))[0] != "failed"
    by_night = decided(policy, caller(STRANGER, NIGHT, verification=FAILED))[0]
    assert by_night == ("hours" if action in (Action.ASK, Action.RING) else "failed")


def test_an_emergency_call_back_rings_whatever_its_number_and_verification() -> None:
    for number in (PEST, STRANGER, None):
        who = caller(number, NIGHT, "Telemarketer", verification=FAILED, callback=True)
        assert decided(replace(POLICY, failed=Action.REJECT), who) == ("emergency", "ring")


RATED = replace(OPEN, rate=Rate(3, 600))


def at_minutes(*minutes: float) -> list[datetime]:
    return [NOON - timedelta(minutes=each) for each in minutes]


def test_a_caller_over_the_rate_gets_the_rate_action() -> None:
    decision = RATED.decide(caller(STRANGER), NOON, at_minutes(9, 5, 1))
    assert (decision.action, decision.reason) == (Action.VOICEMAIL, "rate: more than 3 calls in 10 minutes")
    assert RATED.decide(caller(STRANGER), NOON, at_minutes(11, 10, 5, 1)).rule == "level"
    assert RATED.decide(caller(STRANGER), NOON, at_minutes(9, 1)).rule == "level"
    rejecting = replace(RATED, rate_action=Action.REJECT)
    assert rejecting.decide(caller(STRANGER, NIGHT), NOON, [NIGHT] * 3).action is Action.REJECT
    assert POLICY.decide(caller(STRANGER), NOON, [NOON] * 99).rule == "level"


def test_known_numbers_are_exempt_from_the_rate() -> None:
    for number in (ANNA, FRIEND, BOSS):
        assert RATED.decide(caller(number), NOON, [NOON] * 9).action is Action.RING
    assert RATED.decide(caller(ANNA, verification=FAILED), NOON, [NOON] * 9).rule == "rate"


def test_an_expected_number_rings_in_closed_hours_and_despite_block_patterns() -> None:
    until = NIGHT + timedelta(hours=1)
    policy = replace(
        POLICY, expecting=ExpectationList([Expectation("+14155550999", until=until)]), rate=Rate(1, 60)
    )
    decision = policy.decide(caller("+14155550999", NIGHT), NIGHT, [NIGHT] * 3)
    assert decision.reason == "expected: the number is expected until 2026-11-23 00:00 UTC"
    assert policy.decide(caller("+14155550999", until)).rule == "block pattern"
    assert policy.decide(caller("+14155550999", verification=FAILED)).rule == "block pattern"
    assert policy.decide(caller(STRANGER, NIGHT)).rule == "hours"
    blocked = replace(policy, block=[NumberList(["+14155550999"])])
    assert blocked.decide(caller("+14155550999")).rule == "block"


def test_expecting_anybody_does_not_override_block_patterns_and_names() -> None:
    policy = replace(POLICY, expecting=ExpectationList([Expectation(calls=2)]), anonymous=Action.REJECT)
    assert decided(policy, caller(STRANGER, NIGHT)) == ("expected", "ring")
    assert decided(policy, caller(None, NIGHT)) == ("expected", "ring")
    assert decided(policy, caller("+19005550100"))[0] == "block pattern"
    assert decided(policy, caller(STRANGER, name="Telemarketer"))[0] == "block name"
    assert decided(policy, caller(STRANGER, verification=FAILED))[0] == "level"


def test_calls_of_known_numbers_do_not_use_up_expected_calls() -> None:
    policy = replace(POLICY, expecting=ExpectationList([Expectation(calls=1)]))
    policy.note_expected_call(caller(ANNA, NIGHT))
    assert decided(policy, caller(STRANGER, NIGHT))[0] == "expected"
    policy.note_expected_call(caller(STRANGER, NIGHT))
    assert decided(policy, caller(STRANGER, NIGHT))[0] == "hours"


def test_explain_lists_every_rule_up_to_the_deciding_one() -> None:
    told = list(POLICY.explain(caller(ANNA)))
    assert [rule.name for rule, _ in told] == [rule.name for rule in RULES][:-1]
    assert [decision is not None for _, decision in told] == [False] * (len(told) - 1) + [True]
    assert all(rule.why_not for rule, decision in told if decision is None)


@given(
    st.sampled_from([POLICE, PEST, BOSS, ANNA, FRIEND, STRANGER, ABROAD, KNOWN_ABROAD, "+19005550100", None]),
    st.sampled_from([NOON, NIGHT]),
    st.sets(st.sampled_from(["emergency", "block", "block_names", "vip", "allow", "contacts"])),
)
def test_lists_filled_after_the_first_decision_are_applied(
    number: str | None, at: datetime, empty: set[str]
) -> None:
    lists: dict[str, list[object]] = {name: [] for name in empty}
    policy = replace(POLICY, **lists)
    decided(policy, caller(number, at, "Spam Likely"))
    for name, held in lists.items():
        held.extend(getattr(POLICY, name))
    assert decided(policy, caller(number, at, "Spam Likely")) == decided(
        POLICY, caller(number, at, "Spam Likely")
    )


def test_a_default_policy_asks_every_caller() -> None:
    assert decided(Policy(), caller(ANNA, NIGHT)) == ("level", "ask")


@pytest.mark.parametrize("number", ["", "+", "++1", "*", "sip:x", "+1" * 40, "١٢٣٤٥٦٧", "+١٢٣٤٥٦٧٨٩"])
def test_a_malformed_number_is_asked_or_rejected_without_an_error(number: str) -> None:
    policy = replace(
        POLICY, international=Action.REJECT, block=[NumberList(["+14155550200..+14155550300", "?*9"])]
    )
    assert policy.decide(caller(number)).action in (Action.ASK, Action.REJECT)
