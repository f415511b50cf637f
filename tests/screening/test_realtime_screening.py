"""The screening of one caller, in virtual time, with a scripted vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from screening.contract import Connect, Decline, News, TakeMessage, TranscriptLine, Undecided, Verdict
from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    CallerPressed,
    CallerSaid,
    ErrorReported,
    ProviderError,
    ResponseBegan,
    ResponseEnded,
    Resumed,
    SoundBegan,
    SoundEnded,
    ToolCalled,
)
from screening.realtime_screening import RealtimeScreening
from screening.settings import AgentSettings, ScreeningSettings
from screening.talk.tools import DECIDE
from tests.screening.scripted import ScriptedVendor

TARGET = "tel:+14155550123"
AGENT = AgentSettings("openai", transfer="local", refer_patience_s=3.0)
REFERRING = replace(AGENT, transfer="refer")


class Stage:
    """An attended screening; the test plays vendor and call."""

    def __init__(self, agent: AgentSettings, target: str | None = TARGET) -> None:
        self.vendor = ScriptedVendor()
        self.forgotten = 0
        self.screening = RealtimeScreening(
            "c1", agent, ScreeningSettings(), self.vendor, target, self._forget
        )

    def _forget(self) -> None:
        self.forgotten += 1

    async def verdict(self) -> tuple[float, Verdict]:
        verdict = await self.screening.verdict()
        return self.vendor.now, verdict


@asynccontextmanager
async def staged(
    agent: AgentSettings = AGENT, target: str | None = TARGET, *, answered: bool = True
) -> AsyncIterator[Stage]:
    """Attend a call; afterwards the call is over, and no task may be left."""
    stage = Stage(agent, target)
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    if answered:
        stage.screening.tell(News.AGENT_ANSWERED)
    try:
        await settled()
        yield stage
    finally:
        stage.screening.over("test ended")
        stage.screening.over("test ended")
        await attending
        assert stage.forgotten == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def settled() -> None:
    await asyncio.sleep(0.001)


async def test_the_agent_is_accepted_attached_and_greets_at_once() -> None:
    async with staged() as stage:
        assert stage.vendor.verbs == [(0.0, "accept rtc_1"), (0.0, "attach rtc_1")]
        assert stage.vendor.said == ["speak"]
    assert stage.vendor.done == ["accept", "attach", "hang_up"]


async def test_allow_connects_at_once_when_nothing_is_being_said() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW", caller_name="Anna")
        assert await stage.verdict() == (0.001, Connect("Anna about the boiler", "Anna"))
        assert stage.vendor.said == ["speak", "answer tool1 ok=True"]


async def test_allow_waits_for_the_end_of_the_current_sentence() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        stage.vendor.decides("ALLOW")
        await asyncio.sleep(2.5)
        stage.vendor.emits(SoundEnded("r1"))
        at, verdict = await stage.verdict()
        assert (at, type(verdict)) == (2.501, Connect)


async def test_allow_waits_at_most_eight_seconds_for_a_sentence() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        stage.vendor.decides("ALLOW")
        at, verdict = await stage.verdict()
        assert (at, type(verdict)) == (8.001, Connect)


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
async def test_an_interrupted_sentence_is_not_waited_for(status: str) -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        stage.vendor.decides("ALLOW", response="r2")
        stage.vendor.emits(ToolCalled("tool2", DECIDE, "{}", "r1"), ResponseEnded("r1", status))
        assert (await stage.verdict())[0] == 0.001


@pytest.mark.parametrize(("decision", "kind"), [("REJECT", Decline), ("VOICEMAIL", TakeMessage)])
async def test_the_verdict_follows_the_end_of_the_goodbye(decision: str, kind: type) -> None:
    async with staged() as stage:
        stage.vendor.decides(decision)
        at, verdict = await stage.verdict()
        assert (at, type(verdict)) == (2.001, kind)
        assert stage.vendor.said == ["speak", "answer tool1 ok=True", "speak without tools"]


async def test_the_goodbye_is_requested_after_the_current_response() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"))
        stage.vendor.emits(ToolCalled("tool1", DECIDE, '{"decision": "REJECT", "reason": "spam"}', "r1"))
        await asyncio.sleep(1)
        assert stage.vendor.said == ["speak"]
        stage.vendor.emits(ResponseEnded("r1", "completed"))
        assert await stage.verdict() == (3.001, Decline("spam"))
        assert stage.vendor.said == ["speak", "answer tool1 ok=True", "speak without tools"]


async def test_a_goodbye_that_is_never_said_is_awaited_for_eight_seconds() -> None:
    async with staged() as stage:
        stage.vendor.goodbye_s = None
        stage.vendor.decides("REJECT")
        assert (await stage.verdict())[0] == 8.001


async def test_the_verdict_is_given_at_once_if_the_goodbye_cannot_be_requested() -> None:
    async with staged() as stage:
        stage.vendor.fails["answer"] = ProviderError("the session is over")
        stage.vendor.decides("REJECT")
        assert await stage.verdict() == (0.001, Decline("Anna about the boiler"))


async def test_a_session_lost_during_the_goodbye_keeps_the_verdict() -> None:
    async with staged() as stage:
        stage.vendor.goodbye_s = None
        stage.vendor.decides("VOICEMAIL")
        await asyncio.sleep(1)
        stage.vendor.drops()
        assert await stage.verdict() == (1.001, TakeMessage("Anna about the boiler"))


# transfer = "refer"


async def test_after_a_refer_has_arrived_no_verdict_is_given() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.decides("ALLOW")
        await asyncio.sleep(0.5)
        assert stage.vendor.verbs[-1] == (0.001, f"refer {TARGET}")
        stage.screening.tell(News.REFER_ARRIVED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 600)


async def test_a_refer_that_arrives_before_the_failed_rest_answer_counts() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.takes_s["refer"] = 1.0
        stage.vendor.fails["refer"] = ProviderError("refer: OpenAI answered 504", 504)
        stage.vendor.decides("ALLOW")
        await asyncio.sleep(0.5)
        stage.screening.tell(News.REFER_ARRIVED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 600)


async def test_a_failed_refer_request_connects_at_once() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.takes_s["refer"] = 0.37
        stage.vendor.fails["refer"] = ProviderError("refer: OpenAI answered 500", 500)
        stage.vendor.decides("ALLOW")
        assert await stage.verdict() == (0.371, Connect("Anna about the boiler"))
        assert stage.vendor.done.count("refer") == 1


async def test_a_refer_that_does_not_arrive_connects_after_refer_patience_s() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.takes_s["refer"] = 0.6
        stage.vendor.decides("ALLOW")
        assert await stage.verdict() == (3.601, Connect("Anna about the boiler"))


async def test_an_unanswered_refer_request_connects_after_refer_patience_s() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.takes_s["refer"] = 10.0
        stage.vendor.fails["refer"] = ProviderError("refer: OpenAI answered 504", 504)
        stage.vendor.decides("ALLOW")
        assert (await stage.verdict())[0] == 3.001
        await asyncio.sleep(20)


async def test_without_a_target_no_refer_is_requested() -> None:
    async with staged(REFERRING, target=None) as stage:
        stage.vendor.decides("ALLOW")
        assert (await stage.verdict())[0] == 0.001
        assert "refer" not in stage.vendor.done


async def test_the_refer_waits_for_the_end_of_the_current_sentence() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        stage.vendor.decides("ALLOW")
        await asyncio.sleep(2)
        assert "refer" not in stage.vendor.done
        stage.vendor.emits(SoundEnded("r1"))
        await settled()
        assert stage.vendor.done[-1] == "refer"


async def test_an_agent_that_hangs_up_without_a_decision_is_undecided() -> None:
    async with staged() as stage:
        assert stage.screening.agent_left() == Undecided("the agent hung up")


async def test_an_agent_that_hangs_up_after_allow_and_before_its_refer_connects() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.decides("ALLOW")
        await settled()
        assert stage.screening.agent_left() == Connect("Anna about the boiler")


async def test_an_agent_that_hangs_up_after_a_busy_phone_is_undecided() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        stage.screening.tell(News.PHONE_BUSY)
        assert stage.screening.agent_left() == Undecided("the agent hung up")


# Second decisions


@pytest.mark.parametrize(
    "news", [News.PHONE_BUSY, News.PHONE_NO_ANSWER, News.PHONE_DECLINED, News.PHONE_UNREACHABLE]
)
async def test_the_agent_decides_again_when_the_phone_did_not_answer(news: News) -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        stage.screening.tell(news)
        await settled()
        assert stage.vendor.said[2].startswith(f"inform The caller could not be put through: {news.value}")
        assert stage.vendor.said[3] == "speak"
        stage.vendor.decides("VOICEMAIL", call="tool2", response="r2")
        assert isinstance((await stage.verdict())[1], TakeMessage)


async def test_a_second_transfer_is_referred_again() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.decides("ALLOW")
        await settled()
        stage.screening.tell(News.REFER_ARRIVED)
        stage.screening.tell(News.PHONE_BUSY)
        await asyncio.sleep(5)
        stage.vendor.decides("ALLOW", call="tool2", response="r2")
        assert isinstance((await stage.verdict())[1], Connect)
        assert stage.vendor.done.count("refer") == 2


async def test_a_second_decision_without_news_is_refused() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        stage.vendor.decides("REJECT", call="tool2", response="r2")
        await settled()
        assert stage.vendor.said[-1] == "answer tool2 ok=False"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 600)


async def test_a_verdict_not_taken_is_discarded_when_the_phone_was_busy() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await settled()
        stage.screening.tell(News.PHONE_BUSY)
        stage.vendor.decides("REJECT", call="tool2", response="r2")
        assert isinstance((await stage.verdict())[1], Decline)


async def test_a_lost_session_cannot_decide_again() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        stage.vendor.drops()
        await settled()
        stage.screening.tell(News.PHONE_BUSY)
        assert (await stage.verdict())[1] == Undecided("the session was lost")


async def test_an_agent_silent_after_an_unanswered_phone_is_undecided_at_the_silence_limit() -> None:
    async with staged() as stage:
        stage.vendor.goodbye_s = None
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        await asyncio.sleep(20)
        stage.screening.tell(News.PHONE_NO_ANSWER)
        silence_s = ScreeningSettings().silence_limit_s
        at, verdict = await stage.verdict()
        assert verdict == Undecided(f"nobody spoke for {silence_s:g} s")
        assert at == pytest.approx(20 + silence_s, abs=0.01)


async def test_without_an_attached_agent_phone_news_is_undecided() -> None:
    stage = Stage(AGENT)
    stage.screening.tell(News.PHONE_BUSY)
    assert (await stage.verdict())[1] == Undecided("the agent is not in the call")


async def test_cancelling_the_wait_loses_no_verdict() -> None:
    async with staged() as stage:
        waiting = asyncio.create_task(stage.screening.verdict())
        await settled()
        stage.vendor.decides("ALLOW")
        waiting.cancel()
        await settled()
        assert isinstance((await stage.verdict())[1], Connect)


# Misuse of tools


async def test_a_malformed_decision_is_refused_and_requested_again() -> None:
    async with staged() as stage:
        stage.vendor.emits(ToolCalled("tool1", DECIDE, '{"decision": "MAYBE"}', "r1"))
        await settled()
        assert stage.vendor.said == ["speak", "answer tool1 ok=False", "speak"]
        stage.vendor.decides("ALLOW", call="tool2", response="r2")
        assert isinstance((await stage.verdict())[1], Connect)


async def test_a_tool_result_that_cannot_be_sent_does_not_end_the_screening() -> None:
    async with staged() as stage:
        stage.vendor.fails["answer"] = ProviderError("the session is over")
        stage.vendor.emits(ToolCalled("tool1", "dial", "{}", "r1"))
        await settled()
        stage.vendor.decides("ALLOW", call="tool2")
        assert isinstance((await stage.verdict())[1], Connect)


# Limits


async def test_without_a_decision_the_talk_limit_makes_the_verdict_undecided() -> None:
    async with staged() as stage:
        stage.vendor.emits(CallerBegan())
        assert await stage.verdict() == (90.0, Undecided("no decision within 90 s"))


async def test_the_silence_limit_makes_the_verdict_undecided() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"), ResponseEnded("r1", "completed"))
        await asyncio.sleep(4)
        stage.vendor.emits(SoundEnded("r1"))
        await asyncio.sleep(10)
        stage.vendor.emits(CallerBegan())
        await asyncio.sleep(1)
        stage.vendor.emits(CallerPaused())
        assert await stage.verdict() == (35.001, Undecided("nobody spoke for 20 s"))


async def test_the_silence_limit_does_not_run_during_a_sentence() -> None:
    async with staged() as stage:
        stage.vendor.goodbye_s = None
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        await asyncio.sleep(60)
        stage.vendor.emits(ResponseEnded("r1", "cancelled"))
        assert (await stage.verdict())[0] == 80.001


async def test_no_limit_runs_while_the_phone_rings() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 600)
        stage.screening.tell(News.PHONE_NO_ANSWER)
        at, verdict = await stage.verdict()
        assert isinstance(verdict, Undecided)
        assert 615 < at < 632


async def test_after_connected_a_lost_session_gives_no_verdict() -> None:
    async with staged() as stage:
        stage.screening.tell(News.CONNECTED)
        stage.vendor.drops()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 600)


# The vendor fails


async def test_a_failed_accept_is_undecided_at_once_and_hung_up() -> None:
    stage = Stage(AGENT)
    stage.vendor.fails["accept"] = ProviderError("accept: OpenAI answered 429", 429)
    await stage.screening.attend("rtc_1")
    assert (await stage.verdict())[1] == Undecided("accept: OpenAI answered 429")
    assert stage.vendor.done == ["accept", "hang_up"]


async def test_a_session_that_cannot_be_opened_is_undecided_at_once_and_hung_up() -> None:
    stage = Stage(AGENT)
    stage.vendor.fails["attach"] = ProviderError("attach: OpenAI answered 404", 404)
    await stage.screening.attend("rtc_1")
    assert (await stage.verdict())[1] == Undecided("attach: OpenAI answered 404")
    assert stage.vendor.done == ["accept", "attach", "hang_up"]


async def test_a_session_that_is_lost_is_undecided() -> None:
    async with staged() as stage:
        await asyncio.sleep(5)
        stage.vendor.drops()
        assert await stage.verdict() == (5.001, Undecided("the session was lost"))


async def test_a_session_whose_greeting_fails_is_lost() -> None:
    stage = Stage(AGENT)
    stage.vendor.fails["speak"] = ProviderError("the session is over")
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    assert (await stage.verdict())[1] == Undecided("the session was lost")
    stage.screening.over("ended")
    await attending


async def test_a_failed_hangup_raises_nothing() -> None:
    async with staged() as stage:
        stage.vendor.fails["hang_up"] = ProviderError("hangup: OpenAI answered 500", 500)
    assert stage.vendor.done[-1] == "hang_up"


def gone(status: int | None) -> ProviderError:
    return ProviderError("hangup: OpenAI not reached", status)


@pytest.mark.parametrize("status", [None, 429, 500, 503])
async def test_a_failed_hangup_is_retried_with_increasing_delays(status: int | None) -> None:
    async with staged() as stage:
        stage.vendor.fails["hang_up"] = gone(status)
        stage.screening.over("the caller left")
        await asyncio.sleep(40)
        del stage.vendor.fails["hang_up"]
    tried = [at for at, verb in stage.vendor.verbs if verb == "hang_up rtc_1"]
    assert tried == [0.001, 1.001, 3.001, 7.001, 15.001, 31.001, 63.001]


async def test_a_hangup_that_always_fails_is_one_warning_after_nine_tries() -> None:
    with capture_logs() as said:
        await _never_ended()
    assert [line["why"] for line in said if line["log_level"] == "warning"] == ["hangup: OpenAI not reached"]


async def _never_ended() -> None:
    async with staged() as stage:
        stage.vendor.fails["hang_up"] = gone(None)
    assert stage.vendor.done.count("hang_up") == 9
    assert stage.vendor.now == 183.001


async def test_a_hangup_refused_with_401_is_not_retried() -> None:
    async with staged() as stage:
        stage.vendor.fails["hang_up"] = ProviderError("hangup: OpenAI answered 401", 401)
    assert stage.vendor.done.count("hang_up") == 1


async def test_shutdown_retries_the_hangup_once_without_waiting() -> None:
    async with staged() as stage:
        stage.vendor.fails["hang_up"] = gone(None)
        stage.screening.over("the caller left")
        await asyncio.sleep(10)
        stage.screening.shut_down()
    tried = [at for at, verb in stage.vendor.verbs if verb == "hang_up rtc_1"]
    assert tried[-2:] == [7.001, 10.001]


async def test_a_reattached_session_is_told_of_the_interruption_and_speaks_again() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"), Resumed())
        await settled()
        assert stage.vendor.said[1].startswith("inform The control connection was interrupted")
        assert stage.vendor.said[2] == "speak"


async def test_a_failed_response_is_requested_again_once_and_then_undecided() -> None:
    async with staged() as stage:
        stage.vendor.goodbye_s = None
        stage.vendor.emits(ResponseBegan("r1"), ResponseEnded("r1", "failed", "server_error"))
        await settled()
        assert stage.vendor.said == ["speak", "speak"]
        stage.vendor.emits(ResponseBegan("r2"), ResponseEnded("r2", "failed", "insufficient_quota"))
        assert (await stage.verdict())[1] == Undecided("the agent cannot speak: insufficient_quota")


async def test_an_unexpected_exception_is_undecided_and_propagates() -> None:
    stage = Stage(AGENT)
    stage.vendor.fails["attach"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await stage.screening.attend("rtc_1")
    assert (await stage.verdict())[1] == Undecided("the screening failed")
    assert stage.vendor.done[-1] == "hang_up"


async def test_an_agent_accepted_but_never_answering_is_hung_up_after_ten_seconds() -> None:
    async with staged(answered=False) as stage:
        assert await stage.verdict() == (10.0, Undecided("the agent accepted, but never answered"))
        await settled()
        assert stage.vendor.done[-1] == "hang_up"


# The caller leaves


async def test_an_agent_that_answers_without_a_webhook_is_undecided_after_five_seconds() -> None:
    stage = Stage(AGENT)
    stage.screening.tell(News.AGENT_ANSWERED)  # another application has accepted the call
    assert await stage.verdict() == (5.0, Undecided("the agent answered, but its webhook never came"))
    await stage.screening.attend("rtc_1")
    assert stage.vendor.done == ["reject"]
    stage.screening.over("test ended")


async def test_a_webhook_after_the_agent_answered_still_starts_the_screening() -> None:
    stage = Stage(AGENT)
    stage.vendor.takes_s["accept"] = 4.0
    stage.screening.tell(News.AGENT_ANSWERED)
    await asyncio.sleep(3)
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    await asyncio.sleep(5)
    stage.vendor.decides("ALLOW")
    assert await stage.verdict() == (8.0, Connect("Anna about the boiler"))
    stage.screening.over("test ended")
    await attending


async def test_a_session_is_hung_up_two_seconds_after_its_leg_has_ended() -> None:
    async with staged() as stage:
        stage.vendor.decides("ALLOW")
        await stage.verdict()
        stage.screening.tell(News.CONNECTED)
        stage.screening.tell(News.AGENT_LEFT)  # our BYE never arrives
        stage.vendor.emits(AgentSaid("One moment, please."))
        await asyncio.sleep(60)
        assert stage.vendor.verbs[-1] == (2.001, "hang_up rtc_1")
        assert stage.screening.transcript == [TranscriptLine("agent", "One moment, please.", 0.001)]


async def test_a_webhook_after_the_agent_leg_was_cancelled_is_rejected() -> None:
    stage = Stage(AGENT)
    stage.screening.tell(News.AGENT_LEFT)  # not answered in time, so cancelled
    await settled()
    await stage.screening.attend("rtc_1")
    assert stage.vendor.done == ["reject"]
    stage.screening.over("test ended")


async def test_a_caller_who_left_gets_no_verdict_and_leaves_no_session() -> None:
    async with staged() as stage:
        stage.vendor.decides("REJECT")
        await asyncio.sleep(1)
        stage.screening.tell(News.CALLER_LEFT)
        await settled()
        assert stage.vendor.verbs[-1] == (1.001, "hang_up rtc_1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stage.verdict(), 60)


async def test_a_webhook_after_the_caller_left_is_rejected() -> None:
    stage = Stage(AGENT)
    stage.screening.tell(News.CALLER_LEFT)
    await stage.screening.attend("rtc_1")
    assert stage.vendor.done == ["reject"]


async def test_a_webhook_after_the_ready_limit_is_rejected() -> None:
    stage = Stage(AGENT)
    stage.vendor.fails["reject"] = ProviderError("reject: OpenAI answered 500", 500)
    await asyncio.sleep(11)
    await stage.screening.attend("rtc_1")
    assert stage.vendor.done == ["reject"]


async def test_the_ready_limit_starts_when_the_agent_is_called_not_at_the_announcement() -> None:
    stage = Stage(AGENT)
    await asyncio.sleep(12)  # a long recording notice is played
    stage.screening.tell(News.AGENT_CALLED)
    await asyncio.sleep(1)
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    await asyncio.sleep(1)
    stage.screening.tell(News.AGENT_ANSWERED)
    stage.vendor.decides("ALLOW")
    assert await stage.verdict() == (14.0, Connect("Anna about the boiler"))
    stage.screening.over("test ended")
    await attending
    assert stage.vendor.done == ["accept", "attach", "hang_up"]


async def test_a_caller_who_leaves_during_the_accept_is_hung_up_afterwards() -> None:
    stage = Stage(AGENT)
    stage.vendor.takes_s["accept"] = 2.0
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    await asyncio.sleep(1)
    stage.screening.over("caller left")
    await attending
    assert stage.vendor.verbs == [(0.0, "accept rtc_1"), (2.0, "hang_up rtc_1")]


async def test_a_404_to_accept_after_the_caller_left_is_no_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = Stage(AGENT)
    stage.vendor.takes_s["accept"] = 2.0
    stage.vendor.fails["accept"] = ProviderError("accept: OpenAI answered 404: is the API key right?", 404)
    attending = asyncio.create_task(stage.screening.attend("rtc_1"))
    await asyncio.sleep(1)
    stage.screening.over("caller left")
    await attending
    assert "warning" not in capsys.readouterr().out


async def test_empty_transcriptions_are_not_lines_of_the_transcript() -> None:
    async with staged() as stage:
        stage.vendor.emits(CallerSaid(""), AgentSaid(""), CallerSaid("Anna."))
        await settled()
        assert [said.text for said in stage.screening.transcript] == ["Anna."]


async def test_speech_and_pressed_keys_are_in_the_transcript() -> None:
    async with staged() as stage:
        stage.vendor.emits(AgentSaid("Who is calling?"))
        await asyncio.sleep(2)
        stage.vendor.emits(CallerSaid("Anna."), CallerPressed("5"), ErrorReported("invalid_event", "what?"))
        await settled()
        assert [(said.speaker, said.text, round(said.at_s)) for said in stage.screening.transcript] == [
            ("agent", "Who is calling?", 0),
            ("caller", "Anna.", 2),
            ("caller", "[pressed 5]", 2),
        ]
        assert isinstance(stage.screening.transcript[0], TranscriptLine)
