"""The session object posted to ``/accept``, and its validation.

The vendor answers 200 to a malformed session and drops the call some seconds later. So sessions are checked
against the GA schema (``RealtimeSessionCreateRequestGA``) when the settings are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from screening.openai import validation
from screening.openai.validation import Check, Problems
from screening.settings import AgentSettings
from screening.talk.briefing import Briefing
from screening.talk.tools import DECIDE, DECISION_TOOL

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VOICES = {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"}
BETA_FIELDS = {
    "voice": "audio.output.voice",
    "modalities": "output_modalities",
    "turn_detection": "audio.input.turn_detection",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "input_audio_format": "nothing: SIP negotiates the format",
    "output_audio_format": "nothing: SIP negotiates the format",
    "max_response_output_tokens": "max_output_tokens",
    "temperature": "nothing: GA sessions have none",
    "speed": "audio.output.speed",
}
"""Fields of the beta API and their replacements in the GA API."""


class InvalidSession(ValueError):
    """The session object would be refused or, worse, accepted and fail later."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def accept_body(agent: AgentSettings, briefing: Briefing | None = None) -> dict[str, object]:
    """Build the session of a call, with the agent's `extra` merged over it; raises `InvalidSession`.

    Without a `briefing`, the agent gets what its own settings say. Everything is set here, once: tools or a
    voice sent later by ``session.update`` have silenced calls.
    """
    told = briefing or (Briefing(agent.instructions) if agent.instructions else Briefing())
    body: dict[str, object] = {
        "type": "realtime",
        "model": agent.model,
        "output_modalities": ["audio"],
        "instructions": told.instructions,
        "audio": {
            "input": {
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "auto",
                    "create_response": True,
                    "interrupt_response": not told.uninterruptible,
                },
                "transcription": {"model": agent.transcription} if agent.transcription else None,
                "noise_reduction": {"type": "near_field"},
            },
            "output": {"voice": agent.voice},
        },
        "tools": told.tools.schemas(),
        "tool_choice": "auto",
        "max_output_tokens": 1024,
    }
    body = validation.merged(body, agent.extra)
    if problems := check(body):
        raise InvalidSession(problems)
    return body


def turn_detection(body: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the turn detection of a valid session; None if it is off."""
    found: object = body
    for name in ("audio", "input", "turn_detection"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def check(body: Mapping[str, object]) -> Problems:
    """Return all problems of a session object for a SIP call; empty if it is valid."""
    problems = [
        f"{name}: not a GA field, use {instead}" for name, instead in BETA_FIELDS.items() if name in body
    ]
    known = {name: value for name, value in body.items() if name not in BETA_FIELDS}
    if "type" not in known:
        problems.append("type: missing, must be 'realtime'")
    problems += validation.fields(SESSION)("", known)
    if not problems and DECISION_TOOL not in body.get("tools", ()):  # type: ignore[operator]  # checked: a list
        problems.append(f"tools: {DECIDE} is missing")
    return problems


def _voice(path: str, value: object) -> Problems:
    good = (
        value in VOICES
        if isinstance(value, str)
        else (isinstance(value, Mapping) and set(value) == {"id"} and isinstance(value["id"], str))
    )
    return [] if good else [f"{path}: must be one of {', '.join(sorted(VOICES))}, or an object with an id"]


def _turn_detection(path: str, value: object) -> Problems:
    if not isinstance(value, Mapping):
        return [f"{path}: must be an object"]
    match value.get("type"):
        case "server_vad":
            return validation.fields(SERVER_VAD)(path, value)
        case "semantic_vad":
            return validation.fields(SEMANTIC_VAD)(path, value)
    return [f"{path}.type: must be 'server_vad' or 'semantic_vad'"]


def _tool(path: str, value: object) -> Problems:
    if not isinstance(value, Mapping):
        return [f"{path}: must be an object"]
    match value.get("type"):
        case "mcp":
            return [] if isinstance(value.get("server_label"), str) else [f"{path}.server_label: missing"]
        case "function":
            missing = [f"{path}.{name}: missing" for name in ("name", "parameters") if name not in value]
            return missing + validation.fields(FUNCTION_TOOL)(path, value)
    return [f"{path}.type: must be 'function' or 'mcp'"]


def _tool_choice(path: str, value: object) -> Problems:
    named = isinstance(value, Mapping) and (
        (value.get("type") == "function" and isinstance(value.get("name"), str))
        or (value.get("type") == "mcp" and isinstance(value.get("server_label"), str))
    )
    good = named or value in ("auto", "none", "required")
    return [] if good else [f"{path}: must be 'auto', 'none', 'required' or a named tool"]


NO_FORMAT = validation.forbidden("SIP negotiates the format")

SERVER_VAD: Mapping[str, Check] = {
    "type": validation.one_of("server_vad"),
    "threshold": validation.number(0, 1),
    "prefix_padding_ms": validation.number(0, 60_000),
    "silence_duration_ms": validation.number(0, 60_000),
    "idle_timeout_ms": validation.or_null(validation.number(5000, 30_000)),
    "create_response": validation.BOOLEAN,
    "interrupt_response": validation.BOOLEAN,
}
SEMANTIC_VAD: Mapping[str, Check] = {
    "type": validation.one_of("semantic_vad"),
    "eagerness": validation.one_of("low", "medium", "high", "auto"),
    "create_response": validation.BOOLEAN,
    "interrupt_response": validation.BOOLEAN,
}
NOISE_REDUCTION: Mapping[str, Check] = {
    "type": validation.one_of("near_field", "far_field"),
    "strength": validation.number(0, 1),
}
TRANSCRIPTION: Mapping[str, Check] = {
    "model": validation.NON_EMPTY_TEXT,
    "language": validation.TEXT,
    "languages": validation.list_of(validation.TEXT),
    "prompt": validation.TEXT,
    "keywords": validation.list_of(validation.TEXT),
    "delay": validation.ANYTHING,
}
FUNCTION_TOOL: Mapping[str, Check] = {
    "type": validation.one_of("function"),
    "name": validation.must_be(
        "1 to 64 letters, digits, _ or -", lambda value: bool(TOOL_NAME.fullmatch(str(value)))
    ),
    "description": validation.TEXT,
    "parameters": validation.must_be(
        "a schema of type object", lambda value: isinstance(value, Mapping) and value.get("type") == "object"
    ),
    "strict": validation.BOOLEAN,
}
AUDIO: Mapping[str, Check] = {
    "input": validation.fields(
        {
            "format": NO_FORMAT,
            "noise_reduction": validation.or_null(validation.fields(NOISE_REDUCTION)),
            "transcription": validation.or_null(validation.fields(TRANSCRIPTION)),
            "turn_detection": validation.or_null(_turn_detection),
        }
    ),
    "output": validation.fields(
        {"format": NO_FORMAT, "voice": _voice, "speed": validation.number(0.25, 1.5)}
    ),
}
SESSION: Mapping[str, Check] = {
    "type": validation.one_of("realtime"),
    "model": validation.NON_EMPTY_TEXT,
    "output_modalities": validation.one_of(["audio"], ["text"]),
    "instructions": validation.TEXT,
    "audio": validation.fields(AUDIO),
    "tools": validation.list_of(_tool),
    "tool_choice": _tool_choice,
    "parallel_tool_calls": validation.BOOLEAN,
    "reasoning": validation.fields(
        {"effort": validation.one_of("minimal", "low", "medium", "high", "xhigh")}
    ),
    "max_output_tokens": validation.must_be(
        "a whole number from 1 to 4096, or 'inf'",
        lambda value: value == "inf" or (isinstance(value, int) and validation.is_within(value, 1, 4096)),
    ),
    "truncation": validation.ANYTHING,
    "tracing": validation.ANYTHING,
    "include": validation.list_of(validation.one_of("item.input_audio_transcription.logprobs")),
    "prompt": validation.ANYTHING,
}
