"""A misbehaving vendor, with every provider: the log says what is wrong, and the verdict is safe for the
caller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from screening.contract import Connect, Decline, News, TakeMessage, Undecided, Verdict
from screening.openai.live import OpenAILive
from screening.openai.realtime import OpenAIRealtime
from screening.openai.sideband import CallOver
from screening.provider import ProviderError
from screening.providers import provider_of
from screening.realtime_screening import RealtimeScreening
from screening.settings import AgentSettings, ScreeningSettings
from screening.talk.briefing import Briefing
from screening.talk.conversation import MAX_ERRORS_LOGGED, MAX_REASON_CHARS
from screening.talk.tools import DECIDE
from screening.talk.transcript import MAX_CHARS, MAX_LINE_CHARS, MAX_LINES
from tests.screening.wire import Dialer, Wire

PROVIDERS = ("openai-realtime", "openai-live", "azure-realtime")
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


class Rest:
    """Answers accept as the test says, and everything else well; records the requests."""

    def __init__(self, accept: httpx2.Response | Exception | float) -> None:
        self.accept = accept
        self.asked: list[str] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url).rpartition("/")[2])
        if self.asked[-1] != "accept":
            return httpx2.Response(200)
        if isinstance(self.accept, float):
            await asyncio.sleep(self.accept)
            return httpx2.Response(200)
        if isinstance(self.accept, Exception):
            raise self.accept
        return self.accept


class Stage:
    """One screening with a provider's real adapter, against a scripted REST API and a scripted WebSocket."""

    def __init__(self, provider: str, rest: Rest, dial: Dialer, briefing: Briefing | None = None) -> None:
        agent = AgentSettings("a", provider, api_key="k", transfer="local", model="m")
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(rest))
        made: Callable[..., Any] = type(provider_of(agent))
        self.adapter: OpenAIRealtime | OpenAILive = made(agent, http, dial)
        self.live = provider == "openai-live"
        self.rest = rest
        self.screening = RealtimeScreening(
            "c1", agent, ScreeningSettings(), self.adapter, None, lambda: None, briefing=briefing
        )

    def decision(
        self, choice: str, call: str, *, cut: bool = False, status: str = "completed"
    ) -> dict[str, Any]:
        """The event of a tool call by the model or the delegate."""
        arguments = json.dumps({"decision": choice, "reason": "Anna about the boiler"})
        item = {
            "type": "function_call",
            "status": status,
            "name": DECIDE,
            "call_id": call,
            "arguments": arguments[:20] if cut else arguments,
        }
        done = {"type": "response.output_item.done", "response_id": "resp_1", "item": item}
        return {"type": "response.event", "delegation_id": None, "event": done} if self.live else done

    async def verdict(self, within_s: float = 100.0) -> Verdict:
        async with asyncio.timeout(within_s):
            return await self.screening.verdict()


@asynccontextmanager
async def staged(
    provider: str,
    *wires: Wire | Exception,
    accept: httpx2.Response | Exception | float | None = None,
    briefing: Briefing | None = None,
) -> AsyncIterator[Stage]:
    """Attend a call; afterwards no task may be left, and the session must have been hung up."""
    rest = Rest(accept if accept is not None else httpx2.Response(200))
    stage = Stage(provider, rest, Dialer(*wires), briefing)
    attending = asyncio.create_task(stage.screening.attend("id_1"))
    stage.screening.tell(News.AGENT_ANSWERED)
    try:
        await asyncio.sleep(0.01)
        yield stage
    finally:
        stage.screening.over("test ended")
        await attending
        await stage.adapter.close()
    assert rest.asked[-1] == "hangup"
    assert asyncio.all_tasks() == {asyncio.current_task()}


@each_provider
@pytest.mark.parametrize(
    ("accept", "said"),
    [
        *(
            (httpx2.Response(status), f"answered {status}")
            for status in (400, 401, 403, 404, 409, 429, 500, 503)
        ),
        (httpx2.Response(302, headers={"location": "http://example.com"}), "answered 302"),
        (httpx2.Response(502, text="<html>" * 100_000), "answered 502"),
        (httpx2.Response(400, text='{"error": {"code": '), "answered 400"),
        (httpx2.ReadError("cut"), "not reached: cut"),
        (httpx2.RemoteProtocolError("peer closed"), "not reached: peer closed"),
        (60.0, "no answer from"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failed_accept_is_logged_and_the_verdict_is_undecided(
    provider: str, accept: httpx2.Response | Exception | float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staged(provider, Wire(), accept=accept) as stage:
        verdict = await stage.verdict()
    assert isinstance(verdict, Undecided)
    assert said in verdict.reason
    vendor = "Azure OpenAI" if provider == "azure-realtime" else "OpenAI"
    assert vendor in verdict.reason
    assert "screening not possible" in capsys.readouterr().out


@each_provider
@pytest.mark.parametrize("failure", [CallOver(), ProviderError("attach: OpenAI answered 401", 401)])
async def test_a_failed_websocket_is_logged_and_the_verdict_is_undecided(
    provider: str, failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staged(provider, failure) as stage:
        assert isinstance(await stage.verdict(), Undecided)
    assert "screening not possible" in capsys.readouterr().out


@each_provider
async def test_a_permanently_lost_websocket_makes_the_verdict_undecided(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire, CallOver()) as stage:
        wire.drops()
        assert await stage.verdict() == Undecided("the session was lost")


async def test_a_truncated_tool_call_is_requested_again_once_and_then_undecided() -> None:
    wire = Wire()
    async with staged("openai-realtime", wire) as stage:
        for number in range(2):
            cut = stage.decision("ALLOW", f"call_{number}", cut=True, status="incomplete")
            response = {"id": f"r{number}", "status": "incomplete", "output": [cut["item"]]}
            response["status_details"] = {"type": "incomplete", "reason": "max_output_tokens"}
            wire.delivers({"type": "response.created", "response": {"id": f"r{number}"}})
            wire.delivers(cut)
            wire.delivers({"type": "response.done", "response": response})
            await asyncio.sleep(0.1)
            assert [sent["type"] for sent in wire.sent] == ["response.create"] * 2
        assert await stage.verdict(0.1) == Undecided("the agent cannot speak: max_output_tokens")


@pytest.mark.parametrize("uninterruptible", [False, True])
@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted", "rate_limit_exceeded"])
async def test_a_second_quota_error_makes_the_verdict_undecided(code: str, uninterruptible: bool) -> None:
    wire = Wire()
    briefing = Briefing(greeting="Hello.", uninterruptible=uninterruptible)
    async with staged("openai-realtime", wire, briefing=briefing) as stage:
        for _ in range(2):
            wire.delivers({"type": "error", "error": {"type": "x", "code": code, "message": "m"}})
            await asyncio.sleep(0.1)
            assert [sent["type"] for sent in wire.sent][:2] == ["response.create"] * 2
        assert await stage.verdict(0.1) == Undecided(f"the agent cannot speak: {code}")


@pytest.mark.parametrize("provider", ["openai-realtime", "openai-live"])
async def test_a_refused_speech_request_is_repeated_once_and_then_undecided(
    provider: str,
) -> None:
    wire = Wire()
    async with staged(provider, wire, briefing=Briefing(greeting="Hello.")) as stage:
        wire.delivers({"type": "session.started", "session": {}})
        for asked in range(1, 3):
            await asyncio.sleep(0.1)
            assert len(wire.sent) == asked
            named = wire.sent[-1]["event_id"]
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "m"}
            error["client_event_id" if stage.live else "event_id"] = named
            wire.delivers({"type": "error", "event_id": f"event_{asked}", "error": error})
        assert await stage.verdict(0.1) == Undecided("the agent cannot speak: invalid_value")
        assert len({sent["event_id"] for sent in wire.sent}) == 2


@pytest.mark.parametrize("provider", ["openai-realtime", "openai-live"])
async def test_errors_about_other_requests_do_not_affect_the_screening(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for event_id in (None, "event_567", 7, ["speak-1"]):
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "m"}
            named = {"client_event_id" if stage.live else "event_id": event_id}
            wire.delivers({"type": "error", "error": error | named})
        wire.delivers(stage.decision("ALLOW", "call_1"))
        assert isinstance(await stage.verdict(), Connect)


JUNK: list[object] = [
    "",
    "{",
    "null",
    "[]",
    "[" * 50_000,
    '{"type": NaN}',
    {"type": None},
    {"type": ["response.done"]},
    {"type": "response.done", "response": []},
    {"type": "response.event", "event": {"type": "response.failed", "response": None}},
    {"type": "response.output_item.done", "item": "x"},
    {"type": "session.output_transcript.delta", "delta": "\ud800", "start_ms": 1e300, "end_ms": -1},
    {"type": "session.delegation.created", "delegation": 7},
    {"type": "error", "error": None},
    {"type": "\x00" * 1000},
]


@each_provider
async def test_malformed_events_are_ignored_and_the_decision_is_applied(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for junk in JUNK:
            wire.delivers(junk)
        wire.delivers(stage.decision("ALLOW", "call_1"))
        assert await stage.verdict(20) == Connect("Anna about the boiler")


@each_provider
async def test_ten_thousand_events_do_not_delay_the_decision(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for number in range(10_000):
            wire.delivers({"type": "rate_limits.updated", "event_id": f"event_{number}"})
        wire.delivers(stage.decision("ALLOW", "call_1"))
        assert await stage.verdict(20) == Connect("Anna about the boiler")
        assert len(stage.screening.transcript) == 0


def _said(live: bool, text: str, number: int) -> dict[str, Any]:
    if live:
        at = {"start_ms": number * 2000, "end_ms": number * 2000 + 100}  # too far apart to be one line
        return {"type": "session.input_transcript.delta", "delta": text, **at}
    return {"type": "conversation.item.input_audio_transcription.completed", "transcript": text}


@each_provider
async def test_the_transcript_is_bounded_and_the_decision_is_applied(
    provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for number in range(MAX_LINES + 100):
            wire.delivers(_said(stage.live, "x" * 50, number))
        for number in range(50):
            wire.delivers(_said(stage.live, "y" * 1_000_000, MAX_LINES + 100 + number))
        wire.delivers(stage.decision("ALLOW", "call_1"))
        assert await stage.verdict(20) == Connect("Anna about the boiler")
        assert sum(len(line.text) for line in stage.screening.transcript) <= MAX_CHARS + MAX_LINE_CHARS
        assert len(stage.screening.transcript) == MAX_LINES
    assert capsys.readouterr().out.count("transcript full") == 1


@each_provider
async def test_thousands_of_reported_errors_give_a_limited_number_of_log_lines(
    provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for _ in range(5_000):
            wire.delivers({"type": "error", "error": {"code": "c" * 100_000, "message": "m" * 1000}})
        wire.delivers(stage.decision("ALLOW", "call_1"))
        assert await stage.verdict(20) == Connect("Anna about the boiler")
    out = capsys.readouterr().out
    assert out.count("agent reports an error") == MAX_ERRORS_LOGGED
    assert out.count("which are not logged") == 1
    assert "c" * (MAX_REASON_CHARS + 1) not in out


async def test_an_error_code_of_the_vendor_is_shortened_and_made_printable() -> None:
    wire = Wire()
    failed = {"error": {"code": ["\x1b[2J" * 100_000]}}
    async with staged("openai-realtime", wire) as stage:
        for number in range(2):
            response = {"id": f"r{number}", "status": "failed", "status_details": failed}
            wire.delivers({"type": "response.done", "response": response})
        verdict = await stage.verdict(20)
    assert isinstance(verdict, Undecided)
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 200


@each_provider
async def test_truncated_arguments_are_not_a_decision(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        wire.delivers(stage.decision("ALLOW", "call_1", cut=True, status="incomplete"))
        wire.delivers(stage.decision("ALLOW", "call_2", cut=True))
        await asyncio.sleep(1)
        assert stage.screening.decided is None
        wire.delivers(stage.decision("VOICEMAIL", "call_3"))
        assert isinstance(await stage.verdict(60), TakeMessage)


@each_provider
async def test_the_first_of_two_contradicting_decisions_holds(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        for choice, call in (("REJECT", "call_1"), ("ALLOW", "call_2"), ("REJECT", "call_1")):
            wire.delivers(stage.decision(choice, call))
        assert isinstance(await stage.verdict(60), Decline)
        assert isinstance(stage.screening.decided, Decline)


@each_provider
async def test_a_decision_after_the_caller_left_is_ignored(provider: str) -> None:
    wire = Wire()
    async with staged(provider, wire) as stage:
        stage.screening.tell(News.CALLER_LEFT)
        await asyncio.sleep(0.01)
        wire.delivers(stage.decision("ALLOW", "call_1"))
        await asyncio.sleep(1)
        assert stage.screening.decided is None
    assert stage.rest.asked == ["accept", "hangup"]


@each_provider
async def test_a_model_that_stays_silent_makes_the_verdict_undecided(provider: str) -> None:
    async with staged(provider, Wire()) as stage:
        assert isinstance(await stage.verdict(), Undecided)
