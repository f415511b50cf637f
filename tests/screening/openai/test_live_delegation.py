from __future__ import annotations

from typing import Any

import pytest

from screening.openai.live_delegation import MAX_TOOL_CALLS, Delegation
from screening.provider import Closed, ResponseEnded, ToolCalled


def created(name: str = "resp_1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": name, "status": "in_progress"}}


def over(name: str = "resp_1", how: str = "completed", **more: object) -> dict[str, Any]:
    return {"type": f"response.{how}", "response": {"id": name, "status": how, **more}}


def called(call: object = "call_1", status: str = "completed", arguments: object = "{}") -> dict[str, Any]:
    item = {"type": "function_call", "status": status, "call_id": call, "name": "n", "arguments": arguments}
    return {"type": "response.output_item.done", "item": item}


CALL = ToolCalled("call_1", "n", "{}", "line 7")


def test_a_tool_call_is_reported_once_with_the_current_response() -> None:
    delegation = Delegation()
    assert delegation.process(called(), "line 7") == [CALL]
    assert delegation.process(called(), "line 8") == []


@pytest.mark.parametrize(
    "nested",
    [called(status="incomplete"), {"type": "response.output_item.done", "item": {"type": "message"}}],
)
def test_incomplete_items_and_messages_are_not_tool_calls(nested: dict[str, Any]) -> None:
    assert Delegation().process(nested, "") == []


@pytest.mark.parametrize(
    "nested", [called(call=[1]), called(arguments=None), {"type": "response.created"}, {}]
)
def test_an_unknown_shape_is_an_error(nested: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Delegation().process(nested, "")


def test_a_delegation_continues_once_after_the_response_and_all_results() -> None:
    delegation = Delegation()
    for nested in (created(), called("call_1"), called("call_2")):
        delegation.process(nested, "")
    delegation.result_sent("call_1")
    assert not delegation.may_continue()
    delegation.process(over(), "")
    assert not delegation.may_continue()
    delegation.result_sent("call_2")
    assert delegation.may_continue()
    assert not delegation.may_continue()


def test_after_forget_a_delegation_may_continue_at_once() -> None:
    delegation = Delegation()
    delegation.process(created(), "")
    delegation.process(called(), "")
    delegation.result_sent("call_1")
    delegation.forget()
    assert delegation.may_continue()


def test_two_failed_responses_in_a_row_close_the_session() -> None:
    delegation = Delegation()
    failed = over(how="failed", error={"code": "insufficient_quota"})
    assert delegation.process(failed, "") == [ResponseEnded("resp_1", "failed", "insufficient_quota")]
    delegation.process(over("resp_2"), "")
    assert delegation.process(
        over("resp_3", "incomplete", incomplete_details={"reason": "max_output_tokens"}), ""
    ) == [ResponseEnded("resp_3", "failed", "max_output_tokens")]
    assert delegation.process(over("resp_4", "failed"), "") == [Closed("the delegate cannot think: failed")]


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "server_error", "message": "m", "param": None},
        {"type": "error", "error": {"code": "server_error", "message": "m"}},
    ],
)
def test_an_error_event_fails_the_response_only_once(error: dict[str, Any]) -> None:
    delegation = Delegation()
    delegation.process(created(), "")
    delegation.process(called(), "")
    delegation.result_sent("call_1")
    assert delegation.process(error, "") == [ResponseEnded("resp_1", "failed", "server_error")]
    assert delegation.may_continue()
    assert delegation.process(over(how="failed", error={"code": "server_error"}), "") == []
    assert delegation.process(error, "") == [Closed("the delegate cannot think: server_error")]


def test_the_number_of_tool_calls_is_limited() -> None:
    delegation = Delegation()
    told = [event for n in range(10_000) for event in delegation.process(called(f"call_{n}"), "")]
    assert len(told) == MAX_TOOL_CALLS
