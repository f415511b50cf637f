"""Each rule of the policy, and their order: the first that speaks decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from screening.contacts import Contacts
from screening.contract import Caller
from screening.number_list import NumberList
from screening.policy import RULES, Action, Level, Policy, comparable
from screening.timetable import Timetable, window
from screening.wildcards import Wildcards

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
    block_names=[Wildcards(map(comparable, ["*Spam  Likely*", "telemarketer"]))],
    vip=[NumberList([BOSS])],
    allow=[NumberList([FRIEND])],
    contacts=[Contacts({ANNA: "Anna", KNOWN_ABROAD: "Kate"})],
    times=Timetable(quiet=(window("22:00-07:00"),)),
)


def caller(
    number: str | None, at: datetime = NOON, name: str | None = None, *, privacy: bool = False
) -> Caller:
    return Caller("c1", number, name, "+14155551234", "openai", at, privacy=privacy)


def decided(policy: Policy, who: Caller, before: datetime | None = None) -> tuple[str, str]:
    decision = policy.decide(who, before)
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
    at_night = ("hours", "voicemail") if action in (Action.RING, Action.ASK) else ("anonymous", action.value)
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


def test_every_rule_is_told_up_to_the_one_that_decides() -> None:
    told = list(POLICY.considered(caller(ANNA)))
    assert [rule.name for rule, _ in told] == [rule.name for rule in RULES][:-1]
    assert [decision is not None for _, decision in told] == [False] * 9 + [True]
    assert all(rule.otherwise for rule, decision in told if decision is None)


def test_without_rules_everybody_is_asked() -> None:
    assert decided(Policy(), caller(ANNA, NIGHT)) == ("level", "ask")


@pytest.mark.parametrize("number", ["", "+", "++1", "*", "sip:x", "+1" * 40, "١٢٣٤٥٦٧", "+١٢٣٤٥٦٧٨٩"])
def test_a_number_that_is_none_does_no_harm(number: str) -> None:
    policy = replace(
        POLICY, international=Action.REJECT, block=[NumberList(["+14155550200..+14155550300", "?*9"])]
    )
    assert policy.decide(caller(number)).action in (Action.ASK, Action.REJECT)
