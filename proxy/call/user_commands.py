"""The user's commands for a call in progress: decide in the agent's place, ask something, or hang up."""

from __future__ import annotations

import enum
from collections.abc import Callable

from proxy.call.call import Call
from proxy.call.outcome import Result
from proxy.ua.reason import EndReason
from screening.contract import Connect, Decline, Screening, TakeMessage


class State(enum.Enum):
    """The state of a call, as the API shows it."""

    ARRIVING = "arriving"
    CHALLENGED = "challenged"
    """The caller has been asked to press a key."""
    SCREENED = "screened"
    """The agent talks to the caller, and has not decided yet."""
    RINGING = "ringing"
    """A phone rings, or was picked up and hears who calls."""
    BRIDGED = "bridged"
    VOICEMAIL = "voicemail"
    ENDING = "ending"


class NotPossible(Exception):
    """The command cannot be carried out on this call now; the message says why."""


def state_of(call: Call) -> State:
    """The state of a call, derived from its record."""
    record = call.record
    if record.outcome is not None:
        settled = {Result.BRIDGED: State.BRIDGED, Result.VOICEMAIL: State.VOICEMAIL}
        return settled.get(record.outcome.result, State.ENDING)
    legs = [leg for leg in record.legs if leg.ended is None]
    if any(leg.name.startswith("phone") for leg in legs):
        return State.RINGING
    if any(leg.name == "agent" and leg.answered for leg in legs):
        return State.SCREENED
    return State.CHALLENGED if record.challenge_passed is False else State.ARRIVING


def connect(call: Call, who: str) -> None:
    """Have the caller put through now; raises NotPossible, as the next three do."""
    _overrule(call, "connect wished", who, lambda s: s.overrule(Connect(f"decided by the user ({who})")))


def reject(call: Call, who: str) -> None:
    """Have the agent say goodbye to the caller."""
    _overrule(call, "rejection wished", who, lambda s: s.overrule(Decline(f"decided by the user ({who})")))


def voicemail(call: Call, who: str) -> None:
    """Have the caller leave a message."""
    _overrule(
        call, "voicemail wished", who, lambda s: s.overrule(TakeMessage(f"decided by the user ({who})"))
    )


def ask(call: Call, who: str, text: str) -> None:
    """Have the agent ask the caller something."""
    _overrule(call, "question wished", who, lambda s: s.ask(text))


def hang_up(call: Call, who: str) -> None:
    """End the call, whatever its state."""
    call.note_command("hang-up wished", who)
    call.end(EndReason.BY_USER)


_WHY_NOT = {
    State.ARRIVING: "no agent talks to the caller yet",
    State.CHALLENGED: "the caller is to press a key first",
    State.SCREENED: "it is decided already, or this agent cannot be told anything",
    State.RINGING: "the phone rings already",
    State.BRIDGED: "the caller talks to the phone already",
    State.VOICEMAIL: "the caller leaves a message already",
    State.ENDING: "the call is ending",
}


def _overrule(call: Call, command: str, who: str, done: Callable[[Screening], bool]) -> None:
    state, screening = state_of(call), call.screening
    if state is not State.SCREENED or screening is None or not done(screening):
        raise NotPossible(_WHY_NOT[state])
    call.note_command(command, who)
