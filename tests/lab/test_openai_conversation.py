"""How the simulated model decides each response."""

from __future__ import annotations

import json

import pytest

from proxy.lab.openai_conversation import GOODBYES, Conversation, ConversationState, Decision
from proxy.lab.openai_events import Json, Usage, as_object, new_session, pieces, updated_session
from tests.lab.openai_kit import ACCEPT

SESSION = new_session(ACCEPT, 0)
SCRIPT = Conversation()


def heard_out(script: Conversation, *, no_decision: bool = False) -> ConversationState:
    """A conversation state: the caller was greeted and has said every line."""
    plot = ConversationState(script, no_decision=no_decision)
    plot.next_turn(SESSION, {})
    for _ in script.caller_lines:
        plot.caller_line()
    return plot


def test_the_first_turn_is_the_greeting_and_expects_a_reply() -> None:
    turn = ConversationState(SCRIPT).next_turn(SESSION, {})
    assert (turn.says, turn.decides, turn.caller_replies) == (SCRIPT.greeting, None, True)


@pytest.mark.parametrize("decision", ["ALLOW", "REJECT", "VOICEMAIL"])
def test_after_the_callers_last_line_the_model_decides_and_then_says_goodbye(decision: Decision) -> None:
    plot = heard_out(Conversation(decision=decision))
    turn = plot.next_turn(SESSION, {})
    assert (turn.says, turn.decides) == (None, decision)
    assert plot.next_turn(SESSION, {}).says == GOODBYES[decision]


def test_while_the_caller_has_lines_left_the_model_asks_for_more() -> None:
    plot = ConversationState(Conversation(caller_lines=("one", "two")))
    plot.next_turn(SESSION, {})
    assert plot.caller_line() == "one"
    assert plot.next_turn(SESSION, {}).says == SCRIPT.more
    assert plot.caller_line() == "two"
    assert plot.next_turn(SESSION, {}).decides == "ALLOW"


@pytest.mark.parametrize(
    ("session", "request_"),
    [
        (new_session({**ACCEPT, "tools": []}, 0), {}),
        (new_session({**ACCEPT, "tool_choice": "none"}, 0), {}),
        (SESSION, {"tool_choice": "none"}),
        (SESSION, {"tools": []}),
    ],
)
def test_without_the_decision_tool_the_conversation_continues(session: Json, request_: Json) -> None:
    turn = heard_out(SCRIPT).next_turn(session, request_)
    assert (turn.says, turn.decides, turn.caller_replies) == (SCRIPT.more, None, True)


@pytest.mark.parametrize(("script", "fault"), [(SCRIPT, True), (Conversation(decision=None), False)])
def test_a_model_that_never_decides_continues_and_the_caller_repeats_the_line(
    script: Conversation, fault: bool
) -> None:
    plot = heard_out(script, no_decision=fault)
    for _ in range(20):
        assert plot.next_turn(SESSION, {"tool_choice": "required"}).decides is None
        assert plot.caller_line() == script.caller_lines[0]


def test_a_system_message_after_the_decision_brings_an_apology_and_a_new_decision() -> None:
    plot = heard_out(SCRIPT)
    plot.next_turn(SESSION, {})
    plot.told("system")
    turn = plot.next_turn(SESSION, {})
    assert (turn.says, turn.decides) == (SCRIPT.apology, "VOICEMAIL")
    assert plot.next_turn(SESSION, {}).says == GOODBYES["VOICEMAIL"]


def test_a_system_message_before_the_decision_does_not_replace_the_greeting() -> None:
    plot = ConversationState(SCRIPT)
    plot.told("system")
    assert plot.next_turn(SESSION, {}).says == SCRIPT.greeting


def test_the_tool_arguments_are_json_and_omit_a_missing_caller_name() -> None:
    assert json.loads(ConversationState(SCRIPT).arguments("ALLOW")) == {
        "decision": "ALLOW",
        "reason": SCRIPT.reason,
        "caller_name": "Grace",
    }
    assert "caller_name" not in ConversationState(Conversation(caller_name=None)).arguments("REJECT")


@pytest.mark.parametrize("sentence", ["", "one", "one two three", "a b c d e f g"])
def test_transcript_deltas_concatenate_to_the_sentence(sentence: str) -> None:
    assert "".join(pieces(sentence)) == sentence


def test_usage_totals_are_the_sums_of_their_parts() -> None:
    usage = Usage(1, 2, 3, 4, 5, 6).as_json()
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 11, 14)
    assert as_object(usage["input_token_details"])["cached_tokens"] == 7


def test_a_session_is_the_accept_body_merged_into_the_defaults() -> None:
    assert SESSION["tools"] == ACCEPT["tools"]
    heard = as_object(as_object(SESSION["audio"])["input"])
    assert heard["transcription"] == {"model": "gpt-transcribe"}
    assert as_object(heard["turn_detection"])["create_response"] is True


def test_a_session_update_changes_only_what_it_names() -> None:
    changed = updated_session(SESSION, {"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    heard = as_object(as_object(changed["audio"])["input"])
    assert heard["turn_detection"] is None
    assert heard["transcription"] == {"model": "gpt-transcribe"}
    assert (changed["id"], changed["tools"]) == (SESSION["id"], SESSION["tools"])


def test_a_greeting_given_in_the_instructions_is_spoken() -> None:
    request = {"instructions": "Say exactly this:\nHello, this is automated.", "tool_choice": "none"}
    turn = ConversationState(SCRIPT).next_turn(SESSION, request)
    assert (turn.says, turn.caller_replies) == ("Hello, this is automated.", True)


def test_another_scripted_tool_is_called_only_if_the_session_offers_it() -> None:
    script = Conversation(decision="VOICEMAIL", tool="take_message", given={"message": "Hi"})
    plot = heard_out(script)
    assert plot.next_turn(SESSION, {}).decides is None
    turn = plot.next_turn({**SESSION, "tools": [{"name": "take_message"}]}, {})
    assert (turn.decides, turn.tool) == ("VOICEMAIL", "take_message")
    assert json.loads(plot.arguments("VOICEMAIL", turn.tool)) == {"message": "Hi"}


def test_a_tool_forced_by_tool_choice_is_called_at_once() -> None:
    plot = ConversationState(Conversation(caller_lines=("one", "two")))
    plot.next_turn(SESSION, {})
    forced = {"tool_choice": {"type": "function", "name": "make_screening_decision"}}
    assert plot.next_turn(SESSION, forced).decides == "ALLOW"
