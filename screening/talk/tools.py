"""The agent's tools: their schemas, and the parsing of their arguments.

Nothing that the agent writes selects a number to dial, a list or a limit: a destination is one of the
configured names, everything else is text.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from screening.contract import Connect, Decline, Message, TakeMessage
from screening.talk.untrusted_text import plain

DECIDE = "make_screening_decision"
TAKE_MESSAGE = "take_message"
REQUEST_CONNECT = "request_connect"
END_CALL = "end_call"
OPTIONAL = (TAKE_MESSAGE, REQUEST_CONNECT, END_CALL)
"""The tools besides the decision tool, which is always offered."""

REASON_LIMIT = 500
NAME_LIMIT = 100
MESSAGE_LIMIT = 2000
NUMBER_LIMIT = 40
ARGUMENTS_LIMIT = 20_000
"""Maximum characters of a tool call's arguments; longer ones are not parsed."""
_NUMBER = re.compile(r"[0-9+*#()./ -]+")


class Choice(enum.Enum):
    """The decisions the agent may make."""

    ALLOW = "ALLOW"
    REJECT = "REJECT"
    VOICEMAIL = "VOICEMAIL"


def _tool(name: str, description: str, required: int, **properties: object) -> dict[str, object]:
    """Return a function tool of the Realtime API; the first `required` properties are mandatory."""
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": list(properties)[:required],
        },
    }


_REASON: Mapping[str, object] = {
    "type": "string",
    "description": "One short sentence: who is calling and why.",
}
_CALLER_NAME: Mapping[str, object] = {"type": "string", "description": "The caller's name, if given."}

DECISION_TOOL: dict[str, object] = _tool(
    DECIDE,
    "Give your decision about this caller. ALLOW rings the person they want; VOICEMAIL lets the caller "
    "leave a message; REJECT ends the call. Call it once, as soon as you know who is calling and why.",
    2,
    decision={"type": "string", "enum": [choice.value for choice in Choice]},
    reason=_REASON,
    caller_name=_CALLER_NAME,
)
MESSAGE_TOOL: dict[str, object] = _tool(
    TAKE_MESSAGE,
    "Hand over a message that you have taken yourself. Read it back to the caller before you call this; the "
    "call ends after it.",
    1,
    message={
        "type": "string",
        "description": "What the caller wants to have passed on, in the caller's words.",
    },
    caller_name=_CALLER_NAME,
    call_back={
        "type": "string",
        "description": "The telephone number to call back, only if the caller said one.",
    },
    urgent={"type": "boolean", "description": "Whether the caller said that it is urgent."},
)
END_TOOL: dict[str, object] = _tool(
    END_CALL,
    "End the call when nothing is left to do: a wrong number, or a caller who says goodbye.",
    1,
    reason={"type": "string", "description": "One short sentence: why the call ends."},
)


class BadDecision(ValueError):
    """Invalid tool arguments; the message is returned to the agent."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as the agent made it, by whichever tool."""

    choice: Choice
    reason: str
    caller_name: str | None = None
    to: str | None = None
    """With ALLOW: the name of the destination asked for."""
    message: Message | None = None
    """With VOICEMAIL: the message that the agent has taken."""

    @classmethod
    def of(cls, verdict: Connect | Decline | TakeMessage) -> Decision:
        """Convert from a verdict that somebody else gave."""
        match verdict:
            case Connect(reason, name, to):
                return cls(Choice.ALLOW, reason, name, to)
            case Decline(reason, name):
                return cls(Choice.REJECT, reason, name)
            case TakeMessage(reason, name, message):
                return cls(Choice.VOICEMAIL, reason, name, message=message)

    @property
    def verdict(self) -> Connect | Decline | TakeMessage:
        """The verdict for the call."""
        match self.choice:
            case Choice.ALLOW:
                return Connect(self.reason, self.caller_name, self.to)
            case Choice.REJECT:
                return Decline(self.reason, self.caller_name)
            case Choice.VOICEMAIL:
                return TakeMessage(self.reason, self.caller_name, self.message)


@dataclass(frozen=True, slots=True)
class NamedDestination:
    """A destination as presented to the agent: never by its number."""

    name: str
    about: str = ""
    """What it is for, from the settings."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools offered in a call."""

    optional: frozenset[str] = frozenset()
    """A subset of `OPTIONAL`."""
    places: tuple[NamedDestination, ...] = ()
    """The destinations that `request_connect` may name."""

    @property
    def names(self) -> tuple[str, ...]:
        wanted = self.optional if self.places else self.optional - {REQUEST_CONNECT}
        return (DECIDE, *(name for name in OPTIONAL if name in wanted))

    def schemas(self) -> list[dict[str, object]]:
        """Return the tools as the vendor's JSON."""
        made = {DECIDE: DECISION_TOOL, TAKE_MESSAGE: MESSAGE_TOOL, END_CALL: END_TOOL}
        return [self._connect_tool() if name == REQUEST_CONNECT else made[name] for name in self.names]

    def _connect_tool(self) -> dict[str, object]:
        known = "; ".join(
            f"{place.name}: {place.about}" if place.about else place.name for place in self.places
        )
        return _tool(
            REQUEST_CONNECT,
            f"Put the caller through to one of these, and to nobody else: {known}.",
            2,
            destination={"type": "string", "enum": [place.name for place in self.places]},
            reason=_REASON,
            caller_name=_CALLER_NAME,
        )

    def read(self, name: str, arguments: str) -> Decision:
        """Parse a tool call; raises `BadDecision` saying what the agent should have written."""
        if name not in self.names:
            others = ", ".join(self.names)
            raise BadDecision(f"there is no tool {plain(name, NAME_LIMIT)!r}, only {others}")
        match name:
            case "take_message":
                return _message(_parsed_arguments(arguments, "message", "caller_name", "call_back", "urgent"))
            case "request_connect":
                given = _parsed_arguments(arguments, "destination", "reason", "caller_name")
                to = self._place(given.get("destination"))
                return Decision(
                    Choice.ALLOW, _reason(given.get("reason")), _name(given.get("caller_name")), to
                )
            case "end_call":
                return Decision(Choice.REJECT, _reason(_parsed_arguments(arguments, "reason").get("reason")))
            case _:
                return parse_decision(name, arguments)

    def _place(self, value: object) -> str:
        """Return the configured name that matches, ignoring case and surrounding space."""
        if isinstance(value, str) and len(value) <= NAME_LIMIT:
            for place in self.places:
                if value.strip().casefold() == place.name.casefold():
                    return place.name
        raise BadDecision(f"destination must be one of: {', '.join(place.name for place in self.places)}")


def parse_decision(name: str, arguments: str) -> Decision:
    """Parse a call of the decision tool; raises `BadDecision`."""
    if name != DECIDE:
        raise BadDecision(f"there is no tool {plain(name, NAME_LIMIT)!r}, only {DECIDE}")
    given = _parsed_arguments(arguments, "decision", "reason", "caller_name")
    choice, reason = _choice(given.get("decision")), _reason(given.get("reason"))
    return Decision(choice, reason, _name(given.get("caller_name")))


def _parsed_arguments(arguments: str, *known: str) -> Mapping[str, object]:
    if len(arguments) > ARGUMENTS_LIMIT:
        raise BadDecision("the arguments are too long")
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        raise BadDecision("the arguments are not JSON") from None
    if not isinstance(given, dict):
        raise BadDecision("the arguments are not an object")
    if unknown := given.keys() - set(known):
        raise BadDecision(f"unknown arguments: {plain(', '.join(sorted(unknown)), REASON_LIMIT)}")
    return given


def _choice(value: object) -> Choice:
    try:
        return Choice(value)
    except ValueError:
        raise BadDecision("decision must be ALLOW, REJECT or VOICEMAIL") from None


def _reason(value: object) -> str:
    return _sentence("reason", value, REASON_LIMIT)


def _sentence(key: str, value: object, max_chars: int) -> str:
    if not isinstance(value, str) or not (said := plain(value, max_chars)):
        raise BadDecision(f"{key} must be a sentence")
    return said


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadDecision("caller_name must be text")
    return plain(value, NAME_LIMIT) or None


def _message(given: Mapping[str, object]) -> Decision:
    text, name = _sentence("message", given.get("message"), MESSAGE_LIMIT), _name(given.get("caller_name"))
    urgent = given.get("urgent", False)
    if not isinstance(urgent, bool):
        raise BadDecision("urgent must be true or false")
    message = Message(text, name, _call_back(given.get("call_back")), urgent)
    return Decision(Choice.VOICEMAIL, "the agent took a message", name, message=message)


def _call_back(value: object) -> str | None:
    if value is None or value == "":
        return None
    number = plain(value, NUMBER_LIMIT) if isinstance(value, str) and len(value) <= NUMBER_LIMIT else ""
    if not _NUMBER.fullmatch(number) or sum(c.isdecimal() for c in number) < 3:
        raise BadDecision("call_back must be a telephone number in digits, or left out")
    return number
