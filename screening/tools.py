"""The one tool of the agent: its decision about the caller."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

NAME = "make_screening_decision"
REASON_LIMIT = 500
NAME_LIMIT = 100


class Choice(enum.Enum):
    """What the agent may decide."""

    ALLOW = "ALLOW"
    REJECT = "REJECT"
    VOICEMAIL = "VOICEMAIL"


DECISION_TOOL: dict[str, object] = {
    "type": "function",
    "name": NAME,
    "description": (
        "Give your decision about this caller. ALLOW rings the person they want; VOICEMAIL lets the caller "
        "leave a message; REJECT ends the call. Call it once, as soon as you know who is calling and why."
    ),
    "parameters": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "decision": {"type": "string", "enum": [choice.value for choice in Choice]},
            "reason": {"type": "string", "description": "One short sentence: who is calling and why."},
            "caller_name": {"type": "string", "description": "The caller's name, if given."},
        },
        "required": ["decision", "reason"],
    },
}


class BadDecision(ValueError):
    """The tool was called with something else than a decision; the message is told to the agent."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as the agent gave it."""

    choice: Choice
    reason: str
    caller_name: str | None = None


def parse_decision(name: str, arguments: str) -> Decision:
    """Read a tool call; raises `BadDecision` with what the agent should have written."""
    if name != NAME:
        raise BadDecision(f"there is no tool {name[:NAME_LIMIT]!r}, only {NAME}")
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        raise BadDecision("the arguments are not JSON") from None
    if not isinstance(given, dict):
        raise BadDecision("the arguments are not an object")
    if unknown := given.keys() - {"decision", "reason", "caller_name"}:
        raise BadDecision(f"unknown arguments: {', '.join(sorted(unknown))[:REASON_LIMIT]}")
    choice, reason = _choice(given.get("decision")), _reason(given.get("reason"))
    return Decision(choice, reason, _name(given.get("caller_name")))


def _choice(value: object) -> Choice:
    try:
        return Choice(value)
    except ValueError:
        raise BadDecision("decision must be ALLOW, REJECT or VOICEMAIL") from None


def _reason(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadDecision("reason must be a sentence")
    return value.strip()[:REASON_LIMIT]


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadDecision("caller_name must be text")
    return value.strip()[:NAME_LIMIT] or None
