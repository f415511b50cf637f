from __future__ import annotations

import json

import pytest

from screening.tools import DECISION_TOOL, NAME, BadDecision, Choice, Decision, parse_decision


@pytest.mark.parametrize("choice", list(Choice))
def test_each_choice_is_read(choice: Choice) -> None:
    given = json.dumps({"decision": choice.value, "reason": "boiler"})
    assert parse_decision(NAME, given) == Decision(choice, "boiler", None)


@pytest.mark.parametrize(
    ("name", "read"), [("Anna", "Anna"), (" Anna ", "Anna"), ("", None), (None, None), ("x" * 200, "x" * 100)]
)
def test_the_callers_name_is_optional(name: str | None, read: str | None) -> None:
    given = json.dumps({"decision": "ALLOW", "reason": "boiler", "caller_name": name})
    assert parse_decision(NAME, given).caller_name == read


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "not JSON"),
        ('{"decision": "AL', "not JSON"),
        ("[]", "not an object"),
        ("{}", "decision must be"),
        ('{"decision": "allow", "reason": "x"}', "decision must be"),
        ('{"decision": ["ALLOW"], "reason": "x"}', "decision must be"),
        ('{"decision": "ALLOW"}', "reason must be"),
        ('{"decision": "ALLOW", "reason": " "}', "reason must be"),
        ('{"decision": "ALLOW", "reason": 5}', "reason must be"),
        ('{"decision": "ALLOW", "reason": "x", "caller_name": 5}', "caller_name must be"),
        ('{"decision": "ALLOW", "reason": "x", "to": "+1900"}', "unknown arguments: to"),
    ],
)
def test_anything_else_is_told_to_the_agent(arguments: str, says: str) -> None:
    with pytest.raises(BadDecision, match=says):
        parse_decision(NAME, arguments)


def test_another_tool_is_told_to_the_agent() -> None:
    with pytest.raises(BadDecision, match="there is no tool 'dial'"):
        parse_decision("dial", "{}")


def test_the_tool_offers_what_is_read() -> None:
    parameters = DECISION_TOOL["parameters"]
    assert parameters["properties"]["decision"]["enum"] == ["ALLOW", "REJECT", "VOICEMAIL"]  # type: ignore[index]
    assert parameters["required"] == ["decision", "reason"]  # type: ignore[index]


def test_arguments_nested_too_deep_are_no_json() -> None:
    with pytest.raises(BadDecision, match="not JSON"):
        parse_decision(NAME, "[" * 19_999)


def test_arguments_without_end_are_not_even_read() -> None:
    with pytest.raises(BadDecision, match="too long"):
        parse_decision(NAME, json.dumps({"decision": "ALLOW", "reason": "x" * 1_000_000}))


def test_what_the_agent_made_up_is_cut_in_what_it_is_told() -> None:
    with pytest.raises(BadDecision) as bad:
        parse_decision(NAME, json.dumps({"x" * 9000: 1}))
    assert len(str(bad.value)) < 600
    with pytest.raises(BadDecision) as bad:
        parse_decision("x" * 9000, "{}")
    assert len(str(bad.value)) < 200
