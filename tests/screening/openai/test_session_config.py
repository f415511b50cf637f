from __future__ import annotations

import json

import pytest

from screening.openai.session_config import InvalidSession, accept_body, check, turn_detection
from screening.settings import AgentSettings
from screening.talk import prompt
from screening.talk.briefing import Briefing
from screening.talk.tools import DECIDE, DECISION_TOOL, NamedDestination, Tools


def body(**extra: object) -> dict[str, object]:
    return accept_body(AgentSettings("a", extra=extra))


def test_the_default_session_is_valid_and_complete() -> None:
    session = accept_body(
        AgentSettings("a", model="gpt-realtime-2.1-mini", voice="cedar", instructions="Be kind.")
    )
    assert check(session) == []
    assert session["type"] == "realtime"
    assert session["model"] == "gpt-realtime-2.1-mini"
    assert session["instructions"] == "Be kind."
    assert session["audio"]["output"] == {"voice": "cedar"}  # type: ignore[index]
    assert session["tools"] == [DECISION_TOOL]
    assert '"format"' not in json.dumps(session)
    json.dumps(session)


def test_without_instructions_the_default_ones_are_sent() -> None:
    assert body()["instructions"] == prompt.INSTRUCTIONS


def test_extra_fields_are_merged_over_the_defaults() -> None:
    audio = body(audio={"input": {"turn_detection": {"eagerness": "low"}, "transcription": None}})["audio"]
    assert audio["input"]["turn_detection"]["eagerness"] == "low"  # type: ignore[index]
    assert audio["input"]["turn_detection"]["create_response"] is True  # type: ignore[index]
    assert audio["input"]["transcription"] is None  # type: ignore[index]
    assert audio["output"] == {"voice": "marin"}  # type: ignore[index]


def test_another_turn_detection_type_replaces_the_default() -> None:
    vad = {"type": "server_vad", "idle_timeout_ms": 6000}
    assert body(audio={"input": {"turn_detection": vad}})["audio"]["input"]["turn_detection"] == vad  # type: ignore[index]


GOOD: list[dict[str, object]] = [
    {"output_modalities": ["text"]},
    {"reasoning": {"effort": "low"}, "parallel_tool_calls": False},
    {"max_output_tokens": "inf"},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "name": "x"}},
    {"tool_choice": {"type": "mcp", "server_label": "x"}},
    {"tools": [DECISION_TOOL, {"type": "mcp", "server_label": "crm"}]},
    {"truncation": "auto", "tracing": None, "prompt": {"id": "p"}},
    {"include": ["item.input_audio_transcription.logprobs"]},
    {"audio": {"output": {"voice": {"id": "voice_1"}, "speed": 1.2}}},
    {"audio": {"input": {"noise_reduction": {"type": "far_field", "strength": 0.5}}}},
    {
        "audio": {
            "input": {"transcription": {"model": "m", "language": "de", "keywords": ["a"], "delay": "low"}}
        }
    },
    {"audio": {"input": {"turn_detection": None, "noise_reduction": None}}},
]


@pytest.mark.parametrize("extra", GOOD)
def test_valid_extra_fields_are_accepted(extra: dict[str, object]) -> None:
    assert check(body(**extra)) == []


BAD: list[tuple[dict[str, object], str]] = [
    ({"type": "transcription"}, "type: must be 'realtime'"),
    ({"model": ""}, "model: must be text, not empty"),
    ({"voice": "marin"}, "voice: not a GA field, use audio.output.voice"),
    ({"modalities": ["audio"]}, "modalities: not a GA field, use output_modalities"),
    ({"output_modalities": ["audio", "text"]}, "output_modalities: must be ['audio'] or ['text']"),
    ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, "audio.input.format: must not be sent"),
    ({"audio": {"output": {"format": {"type": "audio/pcm"}}}}, "audio.output.format: must not be sent"),
    ({"audio": {"output": {"voice": "bob"}}}, "audio.output.voice: must be one of"),
    ({"audio": {"output": {"speed": 3}}}, "audio.output.speed: must be a number from 0.25 to 1.5"),
    ({"audio": {"output": {"speed": True}}}, "audio.output.speed"),
    ({"audio": "loud"}, "audio: must be an object"),
    ({"audio": {"input": {"turn_detection": {"type": "none"}}}}, "turn_detection.type: must be"),
    ({"audio": {"input": {"turn_detection": "none"}}}, "turn_detection: must be an object"),
    ({"audio": {"input": {"turn_detection": {"threshold": 0.5}}}}, "turn_detection.threshold: unknown field"),
    ({"tools": "all"}, "tools: must be a list"),
    ({"tools": []}, "tools: make_screening_decision is missing"),
    ({"tools": ["x"]}, "tools[0]: must be an object"),
    ({"tools": [{"type": "mcp"}]}, "tools[0].server_label: missing"),
    ({"tools": [{"type": "web"}]}, "tools[0].type: must be 'function' or 'mcp'"),
    ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools[0].name: missing"),
    ({"tools": [{"type": "function", "name": "a b", "parameters": {}}]}, "tools[0].name: must be 1 to 64"),
    ({"tools": [{"type": "function", "name": "a", "parameters": []}]}, "tools[0].parameters: must be"),
    ({"tool_choice": "always"}, "tool_choice: must be"),
    ({"tool_choice": {"type": "function"}}, "tool_choice: must be"),
    ({"max_output_tokens": 5000}, "max_output_tokens: must be a whole number"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls: must be true or false"),
    ({"reasoning": {"effort": "extreme"}}, "reasoning.effort: must be"),
    ({"colour": "red"}, "colour: unknown field"),
]


@pytest.mark.parametrize(("extra", "says"), BAD)
def test_invalid_extra_fields_are_refused(extra: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidSession) as refused:
        body(**extra)
    assert any(problem.startswith(says) or says in problem for problem in refused.value.problems)


def test_a_missing_type_is_named() -> None:
    assert "type: missing, must be 'realtime'" in check({"model": "x"})


def test_every_problem_is_listed() -> None:
    with pytest.raises(InvalidSession) as refused:
        body(voice="x", colour="red", model="")
    assert len(refused.value.problems) == 3


def test_a_briefing_sets_instructions_and_tools_of_one_call() -> None:
    tools = Tools(frozenset({"request_connect"}), (NamedDestination("sales"),))
    agent = AgentSettings("a", instructions="of the agent")
    session = accept_body(agent, Briefing("of the call", tools=tools))
    assert session["instructions"] == "of the call"
    assert [tool["name"] for tool in session["tools"]] == [DECIDE, "request_connect"]  # type: ignore[attr-defined]
    assert (turn_detection(session) or {})["interrupt_response"] is True


def test_an_uninterruptible_greeting_disables_interruption() -> None:
    session = accept_body(
        AgentSettings("a"), Briefing(greeting="This call is transcribed.", uninterruptible=True)
    )
    assert (turn_detection(session) or {})["interrupt_response"] is False
    assert turn_detection({"audio": {"input": {"turn_detection": None}}}) is None
