"""The session a Live call is accepted with, and its validation (``SessionAcceptParams``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screening.openai import live_prompt, validation
from screening.openai.session_config import FUNCTION_TOOL, VOICES, InvalidSession
from screening.openai.validation import Check, Problems
from screening.settings import AgentSettings
from screening.talk.briefing import Briefing
from screening.talk.tools import DECIDE

LIVE_VOICES = VOICES | {
    *(
        "beacon",
        "bossa",
        "cinder",
        "delta",
        "gleam",
        "meridian",
        "quartz",
        "ripple",
        "shida",
        "stone",
        "tempo",
    ),
    *("vesper", "willow"),
}


def accept_body(agent: AgentSettings, briefing: Briefing | None = None) -> dict[str, object]:
    """Build the body of accept: a wrapped session, with the agent's `extra` merged over it.

    Raises `InvalidSession`. Without a `briefing`, the agent gets what its own settings say. Only the
    delegation settings can be changed after this.
    """
    session: dict[str, object] = {
        "type": "live",
        "model": agent.model,
        "instructions": _briefing_for(agent, briefing).instructions + live_prompt.VOICE_PART,
        "audio": {"output": {"voice": agent.voice}},
        "delegation": _delegation(agent, briefing),
        "store": False,
    }
    session = validation.merged(session, agent.extra)
    if problems := check(session):
        raise InvalidSession(problems)
    return {"session": session}


def delegate_request(agent: AgentSettings, briefing: Briefing | None) -> dict[str, object]:
    """Return the delegate's model, instructions and tools, for the vendor or for us to run."""
    told = _briefing_for(agent, briefing)
    return {
        "model": agent.delegate_model,
        "instructions": told.instructions + live_prompt.DELEGATE_PART,
        "tools": told.tools.schemas(),
        "parallel_tool_calls": False,
        "max_output_tokens": 1024,
    }


def vendor_delegate(body: Mapping[str, Any]) -> str | None:
    """Return the delegate model of a valid body; None if the vendor does not run it."""
    delegation = body["session"]["delegation"]
    return str(delegation["responses"]["model"]) if delegation["type"] == "responses" else None


def check(session: Mapping[str, object]) -> Problems:
    """Return all problems of a Live session for a SIP call; empty if it is valid."""
    problems = [f"{name}: missing" for name in ("type", "model") if name not in session]
    problems += validation.fields(SESSION)("", session)
    responses = session.get("delegation")
    if not problems and isinstance(responses, Mapping) and responses["type"] == "responses":
        tools = responses["responses"].get("tools", ())
        if not any(tool.get("name") == DECIDE for tool in tools):
            problems.append(f"delegation.responses.tools: {DECIDE} is missing")
    return problems


def _briefing_for(agent: AgentSettings, briefing: Briefing | None) -> Briefing:
    return briefing or (Briefing(agent.instructions) if agent.instructions else Briefing())


def _delegation(agent: AgentSettings, briefing: Briefing | None) -> dict[str, object]:
    if agent.delegation == "client":
        return {"type": "client"}
    return {"type": "responses", "responses": delegate_request(agent, briefing)}


def _voice(path: str, value: object) -> Problems:
    named = isinstance(value, Mapping) and set(value) == {"id"} and isinstance(value["id"], str)
    good = named or (isinstance(value, str) and value in LIVE_VOICES)
    return (
        [] if good else [f"{path}: must be one of {', '.join(sorted(LIVE_VOICES))}, or an object with an id"]
    )


def _check_delegation(path: str, value: object) -> Problems:
    match value:
        case {"type": "client"}:
            return validation.fields(CLIENT)(path, value)
        case {"type": "responses", "responses": _}:
            return validation.fields(RESPONSES)(path, value)
        case {"type": "responses"}:
            return [f"{path}.responses: missing"]
    return [f"{path}.type: must be 'responses' or 'client'"]


def _check_delegate(path: str, value: object) -> Problems:
    missing = [] if isinstance(value, Mapping) and "model" in value else [f"{path}.model: missing"]
    return missing + validation.fields(DELEGATE)(path, value)


def _tool(path: str, value: object) -> Problems:
    if isinstance(value, Mapping) and value.get("type") not in (None, "function"):
        return []  # a built-in tool, which the vendor executes
    return validation.fields(FUNCTION_TOOL)(path, value)


_DELAY = validation.number(0, 60_000)
CLIENT: Mapping[str, Check] = {"type": validation.one_of("client"), "acknowledgement_delay_ms": _DELAY}
DELEGATE: Mapping[str, Check] = {
    "model": validation.NON_EMPTY_TEXT,
    "instructions": validation.or_null(validation.TEXT),
    "tools": validation.list_of(_tool),
    "tool_choice": validation.ANYTHING,
    "parallel_tool_calls": validation.or_null(validation.BOOLEAN),
    "max_output_tokens": validation.or_null(
        validation.must_be(
            "a whole number, at least 16",
            lambda value: isinstance(value, int) and validation.is_within(value, 16, 1e6),
        )
    ),
    "reasoning": validation.or_null(validation.ANYTHING),
    "service_tier": validation.or_null(validation.TEXT),
    "text": validation.or_null(validation.ANYTHING),
}
RESPONSES: Mapping[str, Check] = {
    "type": validation.one_of("responses"),
    "responses": _check_delegate,
    "acknowledgement_delay_ms": _DELAY,
}
SESSION: Mapping[str, Check] = {
    "type": validation.one_of("live"),
    "model": validation.NON_EMPTY_TEXT,
    "instructions": validation.or_null(validation.TEXT),
    "audio": validation.fields(
        {
            "output": validation.fields({"voice": _voice}),
            "format": validation.forbidden("SIP negotiates the format"),
        }
    ),
    "delegation": _check_delegation,
    "input": validation.list_of(validation.ANYTHING),
    "safety_identifier": validation.or_null(validation.TEXT),
    "store": validation.BOOLEAN,
    "triggers": validation.list_of(validation.ANYTHING),
}
