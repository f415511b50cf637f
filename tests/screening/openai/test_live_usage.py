"""Usage reported by GPT-Live; malformed reports are not counted."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from proxy.lab.openai_live_events import DELEGATED
from screening.contract import Tokens
from screening.openai.live_usage import SessionDuration, delegate_usage
from screening.provider import AgentSaid, Closed, UsageReported
from tests.screening.openai.test_live import (
    ASKS_BACK,
    attached,
    delegated,
    function_call,
    nested,
    piece,
    responded,
)
from tests.screening.openai.test_rest import Api

LUNA = "gpt-5.6-luna"
THOUGHT = UsageReported(Tokens(text_in=500, text_cached=400, text_out=60), model=LUNA)


def used(seconds: object, **more: object) -> dict[str, object]:
    return {"type": "session.usage.updated", "usage": {"seconds": seconds}, **more}


def test_cumulative_session_times_are_counted_as_increments() -> None:
    lasted = SessionDuration()
    told = [[*lasted.increase({"seconds": each})] for each in (2, 2, 1.5, 3.5)]
    assert told == [[UsageReported(seconds=2.0)], [], [], [UsageReported(seconds=1.5)]]


@pytest.mark.parametrize(
    "usage", [None, 7, [], {}, *({"seconds": each} for each in ("4", None, True, -1, float("nan"), 1e9, []))]
)
def test_an_invalid_session_time_is_not_counted(usage: object) -> None:
    assert [*SessionDuration().increase(usage)] == []


@pytest.mark.parametrize(
    "usage", [None, 7, [], {}, {"input_tokens": "9"}, {"output_tokens": -5}, {"input_tokens": 10**12}]
)
def test_invalid_token_counts_are_not_counted(usage: object) -> None:
    assert [*delegate_usage({"usage": usage}, LUNA)] == []


def test_delegate_usage_is_counted_for_its_model_with_cached_tokens_apart() -> None:
    assert [*delegate_usage({"usage": DELEGATED, "model": "whatever it says"}, LUNA)] == [THOUGHT]


async def test_session_time_is_reported_until_it_closes_and_repeated_events_once() -> None:
    async with attached() as talk:
        assert await talk.receives(used(4.0, event_id="e1"), used(9.5)) == [
            UsageReported(seconds=4.0),
            UsageReported(seconds=5.5),
        ]
        assert await talk.receives(used(4.0, event_id="e1")) == []
        closed = {"type": "session.closed", "reason": "remote_hangup", "usage": {"seconds": 10.0}}
        came = await talk.receives(piece("output", "Bye."), closed)
        assert [each for each in came if isinstance(each, AgentSaid | UsageReported | Closed)] == [
            AgentSaid("Bye."),
            UsageReported(seconds=0.5),
            Closed("the agent's call was hung up"),
        ]


@pytest.mark.parametrize("how", ["completed", "failed", "incomplete"])
async def test_usage_of_the_vendor_delegate_is_reported_for_every_outcome(how: str) -> None:
    async with attached() as talk:
        came = await talk.receives(function_call(), responded(how, usage=DELEGATED))
        assert [each for each in came if isinstance(each, UsageReported)] == [THOUGHT]


async def test_usage_names_the_delegate_model_of_the_extra_settings() -> None:
    extra: dict[str, Any] = {"delegation": {"responses": {"model": "gpt-5.6-terra"}}}
    async with attached(extra=extra) as talk:
        response = {"id": "r", "usage": DELEGATED}
        came = await talk.receives(nested({"type": "response.completed", "response": response}))
        assert [each.model for each in came if isinstance(each, UsageReported)] == ["gpt-5.6-terra"]


async def test_usage_of_the_client_delegate_is_reported() -> None:
    answer = {"status": "completed", "output": [ASKS_BACK], "usage": DELEGATED}
    async with attached(api=Api(httpx2.Response(200, json=answer)), delegation="client") as talk:
        assert await talk.receives(delegated()) == [THOUGHT]
