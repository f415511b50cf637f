from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.contract import Connect, Decline, Message, TakeMessage
from screening.talk.tools import (
    DECIDE,
    DECISION_TOOL,
    END_CALL,
    OPTIONAL,
    REQUEST_CONNECT,
    TAKE_MESSAGE,
    BadDecision,
    Choice,
    Decision,
    NamedDestination,
    Tools,
    parse_decision,
)


@pytest.mark.parametrize("choice", list(Choice))
def test_each_choice_is_read(choice: Choice) -> None:
    given = json.dumps({"decision": choice.value, "reason": "boiler"})
    assert parse_decision(DECIDE, given) == Decision(choice, "boiler", None)


@pytest.mark.parametrize(
    ("name", "read"), [("Anna", "Anna"), (" Anna ", "Anna"), ("", None), (None, None), ("x" * 200, "x" * 100)]
)
def test_the_callers_name_is_optional(name: str | None, read: str | None) -> None:
    given = json.dumps({"decision": "ALLOW", "reason": "boiler", "caller_name": name})
    assert parse_decision(DECIDE, given).caller_name == read


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
def test_invalid_arguments_are_refused_with_the_reason(arguments: str, says: str) -> None:
    with pytest.raises(BadDecision, match=says):
        parse_decision(DECIDE, arguments)


def test_an_unknown_tool_is_refused_by_name() -> None:
    with pytest.raises(BadDecision, match="there is no tool 'dial'"):
        parse_decision("dial", "{}")


def test_the_schema_of_the_decision_tool_matches_the_parser() -> None:
    parameters = DECISION_TOOL["parameters"]
    assert parameters["properties"]["decision"]["enum"] == ["ALLOW", "REJECT", "VOICEMAIL"]  # type: ignore[index]
    assert parameters["required"] == ["decision", "reason"]  # type: ignore[index]


def test_arguments_nested_too_deep_are_refused() -> None:
    with pytest.raises(BadDecision, match="not JSON"):
        parse_decision(DECIDE, "[" * 19_999)


def test_arguments_over_the_size_limit_are_refused() -> None:
    with pytest.raises(BadDecision, match="too long"):
        parse_decision(DECIDE, json.dumps({"decision": "ALLOW", "reason": "x" * 1_000_000}))


def test_invented_names_are_shortened_in_the_error() -> None:
    with pytest.raises(BadDecision) as bad:
        parse_decision(DECIDE, json.dumps({"x" * 9000: 1}))
    assert len(str(bad.value)) < 600
    with pytest.raises(BadDecision) as bad:
        parse_decision("x" * 9000, "{}")
    assert len(str(bad.value)) < 200


# The tools besides the decision tool


PLACES = (NamedDestination("sales", "new orders"), NamedDestination("Dr. Brown"))
ALL = Tools(frozenset(OPTIONAL), PLACES)


def test_only_configured_tools_are_offered() -> None:
    assert Tools().names == (DECIDE,)
    assert Tools(frozenset({REQUEST_CONNECT, END_CALL})).names == (
        DECIDE,
        END_CALL,
    )  # nobody to connect to
    assert ALL.names == (DECIDE, TAKE_MESSAGE, REQUEST_CONNECT, END_CALL)
    with pytest.raises(BadDecision, match="there is no tool 'end_call', only make_screening_decision"):
        Tools().read(END_CALL, '{"reason": "bye"}')


def test_the_schema_lists_destination_names_and_descriptions() -> None:
    schema = json.dumps(ALL.schemas())
    assert "sales: new orders; Dr. Brown" in schema
    assert '"enum": ["sales", "Dr. Brown"]' in schema


@pytest.mark.parametrize("said", ["sales", " Sales ", "SALES"])
def test_a_destination_is_requested_by_name_ignoring_case_and_spaces(said: str) -> None:
    given = json.dumps({"destination": said, "reason": "an order", "caller_name": "Anna"})
    decision = ALL.read(REQUEST_CONNECT, given)
    assert decision.verdict == Connect("an order", "Anna", "sales")


@pytest.mark.parametrize(
    "destination",
    [
        "+19005550100",
        "tel:+19005550100",
        "sip:sales@evil.example",
        "sales@evil.example",
        "sales;evil",
        "sales\x00",
        "ѕales",  # Cyrillic
        "ｓａｌｅｓ",
        "s\u200bales",
        "sales\u202e",
        "sаles, Dr. Brown",
        "support",  # of another number
        "{{ destinations[0] }}",
        "",
        "x" * 1_000_000,
        ["sales"],
        {"name": "sales"},
        0,
        True,
        None,
    ],
)
def test_an_unlisted_destination_is_refused(destination: object) -> None:
    given = json.dumps({"destination": destination, "reason": "an order"})
    with pytest.raises(BadDecision, match=r"one of: sales, Dr. Brown|too long") as bad:
        ALL.read(REQUEST_CONNECT, given)
    assert len(str(bad.value)) < 200


def test_a_message_is_read_with_all_its_fields() -> None:
    given = {"message": "The boiler\nis cold.", "caller_name": "Anna", "call_back": "+1 (415) 555-0100"}
    decision = ALL.read(TAKE_MESSAGE, json.dumps(given | {"urgent": True}))
    message = Message("The boiler is cold.", "Anna", "+1 (415) 555-0100", True)
    assert decision.verdict == TakeMessage("the agent took a message", "Anna", message)
    assert ALL.read(TAKE_MESSAGE, '{"message": "Call me."}').message == Message("Call me.")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "message must be a sentence"),
        ({"message": " \x00 "}, "message must be a sentence"),
        ({"message": ["x"]}, "message must be a sentence"),
        ({"message": "x", "call_back": "sip:evil@example.com"}, "call_back must be a telephone number"),
        ({"message": "x", "call_back": "javascript:alert(1)"}, "call_back must be"),
        ({"message": "x", "call_back": "<b>1</b>"}, "call_back must be"),
        ({"message": "x", "call_back": "12"}, "call_back must be"),
        ({"message": "x", "call_back": "1" * 41}, "call_back must be"),
        ({"message": "x", "call_back": "٠١٢٣٤"}, "call_back must be"),
        ({"message": "x", "call_back": 14155550100}, "call_back must be"),
        ({"message": "x", "urgent": "yes"}, "urgent must be"),
        ({"message": "x", "urgent": 1}, "urgent must be"),
        ({"message": "x", "to": "+1900"}, "unknown arguments: to"),
        ({"message": "x", "caller_name": {"a": 1}}, "caller_name must be text"),
    ],
)
def test_an_invalid_message_is_refused_with_the_reason(given: dict[str, object], says: str) -> None:
    with pytest.raises(BadDecision, match=says):
        ALL.read(TAKE_MESSAGE, json.dumps(given))


def test_end_call_requires_a_reason() -> None:
    assert ALL.read(END_CALL, '{"reason": "a wrong number"}').verdict == Decline("a wrong number")
    with pytest.raises(BadDecision, match="reason must be"):
        ALL.read(END_CALL, "{}")


@given(
    st.sampled_from([*ALL.names, "dial", "add_to_allow_list"]), st.text(max_size=300) | st.binary(max_size=99)
)
@settings(max_examples=200)
def test_arbitrary_arguments_are_a_valid_decision_or_refused(name: str, written: str | bytes) -> None:
    arguments = written if isinstance(written, str) else written.decode("latin-1")
    with suppress(BadDecision):
        assert ALL.read(name, arguments).to in (None, "sales", "Dr. Brown")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = ("decision", "reason", "caller_name", "destination", "message", "call_back", "urgent", "to")


@given(st.sampled_from(ALL.names), st.dictionaries(st.sampled_from(ARGUMENTS), JSON, max_size=5))
@settings(max_examples=200)
def test_arbitrary_json_never_selects_an_unlisted_destination(name: str, given: dict[str, object]) -> None:
    with suppress(BadDecision):
        decision = ALL.read(name, json.dumps(given))
        assert decision.to in (None, "sales", "Dr. Brown")
        assert decision.reason.isprintable()
