"""What would be done with a caller, told rule by rule: ``screendoor try``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from proxy import judging, remembering
from proxy.config import Number, Settings
from screening.contract import Caller, Verification
from screening.policy import Action, Decision, Policy

WITHHELD = ("anonymous", "withheld")
VERIFICATIONS = {
    "passed": Verification("passed", source="header"),
    "A": Verification("passed", "A", source="header"),
    "B": Verification("passed", "B", source="header"),
    "C": Verification("passed", "C", source="header"),
    "failed": Verification("failed", source="header"),
    "none": Verification("none", source="header"),
}
DONE = {
    Action.RING: "the phone rings at once",
    Action.ASK: "the agent {agent} talks to the caller first",
    Action.CHALLENGE: "the caller has to press a key, then the phone rings",
    Action.VOICEMAIL: "the caller may leave a message",
    Action.REJECT: "the call is refused",
}


def tried(
    settings: Settings,
    caller: str,
    dialed: str | None,
    at: str | None,
    name: str | None,
    again: bool,
    *,
    verification: str | None = None,
    callback: bool = False,
    calls: int = 0,
) -> list[str]:
    """A line for each rule that is asked, and the decision last; raises ValueError for what makes no sense.

    `at` is ISO 8601, by the number's time zone unless it says another; None: now. `verification`: one of
    `VERIFICATIONS`. `calls`: how often he has called a moment before.
    """
    number = number_of(settings, dialed)
    policy = judging.policies(settings, remembering.lists(settings))[number.dialed]
    when = _time(at, policy)
    agent = settings.agent_of(number)
    withheld = caller.lower() in WITHHELD
    if not withheld and not any(each.isdecimal() for each in caller):
        raise ValueError(f'a number such as +14155550100, or "anonymous", instead of {caller!r}')
    shown = None if withheld else "".join(each for each in caller if each not in " -.()")
    asked = Caller(
        "try",
        shown,
        name,
        number.dialed,
        agent.name if agent else "",
        when,
        privacy=withheld,
        verification=VERIFICATIONS[verification] if verification else None,
        callback=callback,
    )
    return list(_told(policy, asked, dialed or number.dialed, [when] * max(calls, again)))


def number_of(settings: Settings, dialed: str | None) -> Number:
    """The number that is called; raises ValueError where it is none, or has to be said."""
    if dialed is None:
        if len(settings.numbers) == 1:
            return settings.numbers[0]
        raise ValueError("there are several numbers: say which one is called, with --to")
    for wanted in (dialed, "*"):
        for number in settings.numbers:
            if number.dialed == wanted:
                return number
    known = ", ".join(number.dialed for number in settings.numbers)
    raise ValueError(f"{dialed} is none of the numbers of this file: {known}")


def _time(at: str | None, policy: Policy) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"a time such as 2026-12-24T23:00 instead of {at!r}") from None
    return when if when.tzinfo is not None else when.replace(tzinfo=policy.times.zone)


def _told(policy: Policy, caller: Caller, dialed: str, earlier: Sequence[datetime]) -> Iterator[str]:
    local = caller.at.astimezone(policy.times.zone)
    shown = caller.number or "a withheld number"
    yield f"{shown} calls {dialed}, {local:%a %Y-%m-%d %H:%M} {policy.times.zone}"
    decision: Decision | None = None
    for rule, decision in policy.considered(caller, earlier[-1] if earlier else None, earlier):
        yield f"  {rule.name:<14} {decision.why if decision else f'- {rule.otherwise}'}"
    assert decision is not None, "the last rule always speaks"
    done = DONE[decision.action].format(agent=caller.agent)
    yield f"{decision.action.value}, by the rule {decision.reason}: {done}"
