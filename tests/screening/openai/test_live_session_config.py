from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.live.session_accept_params import SessionAcceptParams
from pydantic import TypeAdapter

from screening.openai.live_session_config import accept_body, check
from screening.openai.session_config import InvalidSession
from screening.settings import AgentSettings
from screening.talk import prompt
from screening.talk.briefing import Briefing
from screening.talk.tools import DECIDE, DECISION_TOOL, END_CALL, Tools


def settings(**changes: Any) -> AgentSettings:
    return AgentSettings("a", "openai-live", model="gpt-live-1", **changes)


def session(**changes: Any) -> Any:
    return accept_body(settings(**changes))["session"]


def test_the_accept_body_matches_the_sdk_type() -> None:
    body = accept_body(settings(voice="ripple", instructions="Be kind.", delegate_model="gpt-5.6-terra"))
    assert list(body) == ["session"]
    TypeAdapter(SessionAcceptParams).validate_python(body)
    made: Any = body["session"]
    assert check(made) == []
    assert (made["type"], made["model"], made["store"]) == ("live", "gpt-live-1", False)
    assert made["audio"] == {"output": {"voice": "ripple"}}
    assert made["delegation"]["type"] == "responses"
    assert made["delegation"]["responses"]["model"] == "gpt-5.6-terra"
    assert made["delegation"]["responses"]["tools"] == [DECISION_TOOL]
    assert '"format"' not in json.dumps(body)


def test_voice_and_delegate_get_the_instructions_and_their_own_additions() -> None:
    made = session()
    behind = made["delegation"]["responses"]["instructions"]
    assert made["instructions"].startswith(prompt.INSTRUCTIONS)
    assert behind.startswith(prompt.INSTRUCTIONS)
    assert "delegate that to your backend" in " ".join(made["instructions"].split())
    assert "you never speak yourself" in behind


def test_with_client_delegation_only_its_type_is_sent() -> None:
    assert session(delegation="client")["delegation"] == {"type": "client"}


def test_a_briefing_sets_the_instructions_of_both_and_the_tools() -> None:
    briefing = Briefing("Be short.", tools=Tools(frozenset({END_CALL})))
    made: Any = accept_body(settings(), briefing)["session"]
    assert [each["name"] for each in made["delegation"]["responses"]["tools"]] == [
        DECIDE,
        "end_call",
    ]
    assert made["instructions"].startswith("Be short.")
    assert made["delegation"]["responses"]["instructions"].startswith("Be short.")


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"tools": []}, "tools: unknown field"),
        ({"turn_detection": None}, "turn_detection: unknown field"),
        ({"audio": {"format": {"type": "pcm"}}}, "audio.format: must not be sent, SIP negotiates the format"),
        ({"audio": {"output": {"voice": "bob"}}}, "audio.output.voice: must be one of alloy"),
        ({"audio": {"input": {}}}, "audio.input: unknown field"),
        ({"delegation": {"type": "decisions"}}, "delegation.type: must be 'responses' or 'client'"),
        (
            {"delegation": {"responses": {"temperature": 1}}},
            "delegation.responses.temperature: unknown field",
        ),
        (
            {"delegation": {"responses": {"tools": []}}},
            f"delegation.responses.tools: {DECIDE} is missing",
        ),
        (
            {"delegation": {"responses": {"max_output_tokens": 0}}},
            "max_output_tokens: must be a whole number",
        ),
        ({"type": "realtime"}, "type: must be 'live'"),
        ({"store": "no"}, "store: must be true or false"),
    ],
)
def test_fields_the_vendor_would_refuse_raise_at_construction(extra: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidSession) as invalid:
        session(extra=extra)
    assert any(problem in each for each in invalid.value.problems)


def test_missing_required_fields_are_problems() -> None:
    bare = {"type": "live", "model": "m", "delegation": {"type": "responses"}}
    assert check(bare) == ["delegation.responses: missing"]
    assert check({}) == ["type: missing", "model: missing"]


def test_a_custom_voice_is_given_by_id() -> None:
    assert session(extra={"audio": {"output": {"voice": {"id": "voice_1"}}}})["audio"]["output"] == {
        "voice": {"id": "voice_1"}
    }
