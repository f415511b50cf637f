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
def test_the_first_rule_that_speaks_decides(
    number: str | None, by_day: tuple[str, str], by_night: tuple[str, str]
) -> None:
    assert decided(POLICY, caller(number)) == by_day
    assert decided(POLICY, caller(number, NIGHT)) == by_night


def test_a_number_that_is_blocked_by_itself_is_so_even_for_a_contact_and_a_vip() -> None:
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
def test_names_are_blocked_by_pattern_whatever_their_capitals(name: str | None, rule: str) -> None:
    assert POLICY.decide(caller(STRANGER, name=name)).rule == rule
    assert POLICY.decide(caller(ANNA, name=name)).rule == "contacts"


def test_no_name_opens_the_door() -> None:
    assert decided(POLICY, caller(STRANGER, name="Anna")) == ("level", "ask")


@pytest.mark.parametrize("action", list(Action))
def test_callers_without_a_number_have_a_rule_of_their_own(action: Action) -> None:
    policy = replace(POLICY, anonymous=action)
    assert decided(policy, caller(None)) == ("anonymous", action.value)
    assert decided(policy, caller(ANNA)) == ("contacts", "ring")
    waits = action in (Action.RING, Action.ASK, Action.CHALLENGE)
    at_night = ("hours", "voicemail") if waits else ("anonymous", action.value)
    assert decided(policy, caller(None, NIGHT)) == at_night


def test_withheld_and_unknown_numbers_are_told_apart() -> None:
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
def test_numbers_from_abroad_that_nobody_knows_have_a_rule_too(number: str | None, rule: str) -> None:
    assert replace(POLICY, international=Action.REJECT).decide(caller(number)).rule == rule


@pytest.mark.parametrize("action", list(Action))
def test_nobody_from_abroad_rings_at_night_who_would_not_from_here(action: Action) -> None:
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
def test_the_level_says_whom_the_agent_asks(level: Level, friend: str, contact: str, stranger: str) -> None:
    policy = replace(POLICY, level=level)
    actions = [policy.decide(caller(who)).action.value for who in (FRIEND, ANNA, STRANGER)]
    assert actions == [friend, contact, stranger]
    assert policy.decide(caller(BOSS)).action is Action.RING


@pytest.mark.parametrize(
    ("ago_s", "rule"), [(None, "hours"), (299, "contacts"), (0, "contacts"), (300, "hours"), (-5, "hours")]
)
def test_a_second_call_within_five_minutes_passes_the_hours(ago_s: int | None, rule: str) -> None:
    before = None if ago_s is None else NIGHT - timedelta(seconds=ago_s)
    assert POLICY.decide(caller(ANNA, NIGHT), before).rule == rule


def test_a_second_call_does_not_pass_the_lists_nor_where_it_is_not_wanted() -> None:
    assert POLICY.decide(caller(PEST, NIGHT), NIGHT).rule == "block"
    assert replace(POLICY, repeat_s=0).decide(caller(ANNA, NIGHT), NIGHT).rule == "hours"


def test_the_reason_says_which_rule_and_which_entry() -> None:
    assert POLICY.decide(caller("+19005550100")).reason == 'block pattern: the number matches "+1900*"'
    assert POLICY.decide(caller(ANNA, NIGHT)).reason == "hours: quiet hours 22:00-07:00"
    named = POLICY.decide(caller(STRANGER, name="Spam likely"))
    assert named.reason == 'block name: the name matches "*spam likely*"'


OPEN = replace(POLICY, block=[NumberList([PEST])])
"""Rules without patterns that known numbers match."""
FAILED, UNSIGNED = Verification("failed", source="header"), Verification("none", source="header")
PASSED = {attest: Verification("passed", attest, source="header") for attest in ("A", "B", "C", None)}


@pytest.mark.parametrize("number", [BOSS, FRIEND, ANNA])
def test_a_number_that_failed_its_verification_is_not_the_one_we_know(number: str) -> None:
    assert decided(OPEN, caller(number, verification=FAILED)) == ("level", "ask")
    believing = replace(OPEN, distrust=frozenset())
    assert decided(believing, caller(number, verification=FAILED))[1] == "ring"


@pytest.mark.parametrize("number", [FRIEND, ANNA])
def test_a_number_in_doubt_is_not_said_to_be_known(number: str) -> None:
    assert OPEN.knows_caller(caller(number))
    assert not OPEN.knows_caller(caller(number, verification=FAILED))
    assert not OPEN.knows_caller(caller(None))


def test_what_is_absent_has_not_failed() -> None:
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
def test_less_than_a_failure_can_be_distrusted_too(
    doubts: set[Doubt], asked: list[Verification | None]
) -> None:
    policy = replace(POLICY, distrust=frozenset(doubts))
    every = [None, UNSIGNED, Verification("unknown"), FAILED, *PASSED.values()]
    assert [each for each in every if policy.decide(caller(ANNA, verification=each)).rule != "contacts"] == [
        each for each in every if each in asked
    ]


def test_patterns_of_the_block_list_hold_for_a_known_number_in_doubt() -> None:
    policy = replace(POLICY, block=[NumberList(["+1415*"])])
    assert decided(policy, caller(ANNA)) == ("contacts", "ring")
    assert decided(policy, caller(ANNA, verification=FAILED)) == ("block pattern", "reject")
    assert decided(policy, caller(POLICE, verification=FAILED)) == ("emergency", "ring")


@pytest.mark.parametrize("action", [Action.REJECT, Action.VOICEMAIL, Action.ASK, Action.RING])
def test_everybody_who_failed_may_be_dealt_with_alike(action: Action) -> None:
    policy = replace(OPEN, failed=action, level=Level.OFF)
    for number in (ANNA, STRANGER, BOSS):
        assert decided(policy, caller(number, verification=FAILED)) == ("failed", action.value)
        assert decided(policy, caller(number, verification=UNSIGNED))[0] != "failed"
    by_night = decided(policy, caller(STRANGER, NIGHT, verification=FAILED))[0]
    assert by_night == ("hours" if action in (Action.ASK, Action.RING) else "failed")


def test_an_emergency_call_back_rings_whoever_it_seems_to_be() -> None:
    for number in (PEST, STRANGER, None):
        who = caller(number, NIGHT, "Telemarketer", verification=FAILED, callback=True)
        assert decided(replace(POLICY, failed=Action.REJECT), who) == ("emergency", "ring")


RATED = replace(OPEN, rate=Rate(3, 600))


def at_minutes(*minutes: float) -> list[datetime]:
    return [NOON - timedelta(minutes=each) for each in minutes]


def test_who_calls_too_often_leaves_a_message() -> None:
    decision = RATED.decide(caller(STRANGER), NOON, at_minutes(9, 5, 1))
    assert (decision.action, decision.reason) == (Action.VOICEMAIL, "rate: more than 3 calls in 10 minutes")
    assert RATED.decide(caller(STRANGER), NOON, at_minutes(11, 10, 5, 1)).rule == "level"
    assert RATED.decide(caller(STRANGER), NOON, at_minutes(9, 1)).rule == "level"
    rejecting = replace(RATED, rate_action=Action.REJECT)
    assert rejecting.decide(caller(STRANGER, NIGHT), NOON, [NIGHT] * 3).action is Action.REJECT
    assert POLICY.decide(caller(STRANGER), NOON, [NOON] * 99).rule == "level"


def test_who_is_known_may_call_as_often_as_he_likes() -> None:
    for number in (ANNA, FRIEND, BOSS):
        assert RATED.decide(caller(number), NOON, [NOON] * 9).action is Action.RING
    assert RATED.decide(caller(ANNA, verification=FAILED), NOON, [NOON] * 9).rule == "rate"


def test_an_expected_number_rings_at_any_hour_and_whatever_pattern_it_matches() -> None:
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


def test_anybody_may_be_expected_but_whom_the_block_list_names() -> None:
    policy = replace(POLICY, expecting=ExpectationList([Expectation(calls=2)]), anonymous=Action.REJECT)
    assert decided(policy, caller(STRANGER, NIGHT)) == ("expected", "ring")
    assert decided(policy, caller(None, NIGHT)) == ("expected", "ring")
    assert decided(policy, caller("+19005550100"))[0] == "block pattern"
    assert decided(policy, caller(STRANGER, name="Telemarketer"))[0] == "block name"
    assert decided(policy, caller(STRANGER, verification=FAILED))[0] == "level"


def test_of_so_many_calls_of_anybody_those_of_people_we_know_do_not_count() -> None:
    policy = replace(POLICY, expecting=ExpectationList([Expectation(calls=1)]))
    policy.note_expected_call(caller(ANNA, NIGHT))
    assert decided(policy, caller(STRANGER, NIGHT))[0] == "expected"
    policy.note_expected_call(caller(STRANGER, NIGHT))
    assert decided(policy, caller(STRANGER, NIGHT))[0] == "hours"


def test_every_rule_is_told_up_to_the_one_that_decides() -> None:
    told = list(POLICY.explain(caller(ANNA)))
    assert [rule.name for rule, _ in told] == [rule.name for rule in RULES][:-1]
    assert [decision is not None for _, decision in told] == [False] * (len(told) - 1) + [True]
    assert all(rule.why_not for rule, decision in told if decision is None)


@given(
    st.sampled_from([POLICE, PEST, BOSS, ANNA, FRIEND, STRANGER, ABROAD, KNOWN_ABROAD, "+19005550100", None]),
    st.sampled_from([NOON, NIGHT]),
    st.sets(st.sampled_from(["emergency", "block", "block_names", "vip", "allow", "contacts"])),
)
def test_lists_that_are_empty_for_now_are_passed_over_until_they_are_filled(
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


def test_without_rules_everybody_is_asked() -> None:
    assert decided(Policy(), caller(ANNA, NIGHT)) == ("level", "ask")


@pytest.mark.parametrize("number", ["", "+", "++1", "*", "sip:x", "+1" * 40, "١٢٣٤٥٦٧", "+١٢٣٤٥٦٧٨٩"])
def test_a_number_that_is_none_does_no_harm(number: str) -> None:
    policy = replace(
        POLICY, international=Action.REJECT, block=[NumberList(["+14155550200..+14155550300", "?*9"])]
    )
    assert policy.decide(caller(number)).action in (Action.ASK, Action.REJECT)
