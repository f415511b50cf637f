"""Evaluates the screening rules for a made-up call: ``screendoor try`` and the API's trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.config import Number, Settings
from proxy.services import memory_setup, policy_setup
from screening.contract import Caller, Verification
from screening.decision import Action, Decision
from screening.policy import Policy

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
GATE = "the caller has to press a key, then {}"
"""For ``gate = "challenge"``."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The result of a dry run."""

    caller: str | None
    """The number that the caller shows; None if withheld."""
    dialed: str
    at: datetime
    """In the time zone of the dialed number."""
    zone: str
    rules: tuple[tuple[str, Decision | None, str], ...]
    """The evaluated rules: name, decision if any, and reason."""
    decision: Decision
    done: str
    """What would happen to the caller."""


def dry_run(
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
) -> DryRun:
    """Evaluate the rules. Raises ValueError for invalid arguments.

    `at` is ISO 8601, by default in the number's time zone; None: now. `verification`: a key of
    `VERIFICATIONS`. `calls`: how many calls the caller made a moment before.
    """
    number = number_of(settings, dialed)
    policy = policy_setup.policies(settings, memory_setup.load_lists(settings))[number.dialed]
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
    return _evaluate(policy, asked, dialed or number.dialed, [when] * max(calls, again))


def _evaluate(policy: Policy, asked: Caller, dialed: str, earlier: Sequence[datetime]) -> DryRun:
    rules, decided = [], None
    for rule, decided in policy.explain(asked, earlier[-1] if earlier else None, earlier):
        rules.append((rule.name, decided, decided.why if decided else rule.why_not))
    assert decided is not None, "the last rule always speaks"
    zone = policy.times.zone
    done = DONE[decided.action].format(agent=asked.agent)
    if decided.action is Action.ASK and policy.gate:
        done = GATE.format(done)
    return DryRun(asked.number, dialed, asked.at.astimezone(zone), str(zone), tuple(rules), decided, done)


def report(found: DryRun) -> list[str]:
    """A line per evaluated rule, and the decision last."""
    shown = found.caller or "a withheld number"
    lines = [f"{shown} calls {found.dialed}, {found.at:%a %Y-%m-%d %H:%M} {found.zone}"]
    lines += [f"  {rule:<14} {why if decision else f'- {why}'}" for rule, decision, why in found.rules]
    decision = found.decision
    return [*lines, f"{decision.action.value}, by the rule {decision.reason}: {found.done}"]


def number_of(settings: Settings, dialed: str | None) -> Number:
    """The settings of the dialed number. Raises ValueError if it is unknown, or ambiguous when left out."""
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
