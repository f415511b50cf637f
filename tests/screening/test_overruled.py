"""The user decides in the agent's place, or has it ask the caller something."""

from __future__ import annotations

import asyncio

from screening.contract import Connect, Decline, News, TakeMessage, TranscriptLine, Undecided
from screening.provider import CallerSaid, ProviderError, ResponseBegan, ResponseEnded, SoundBegan, SoundEnded
from screening.talk.prompt import OVERRULED, user_asks
from screening.talk.tools import Choice
from tests.screening.test_realtime_screening import REFERRING, settled, staged

WHY = "decided by the user"


async def test_a_connect_by_the_user_applies_at_once_even_during_speech() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
        assert stage.screening.overrule(Connect(WHY))
        assert await stage.verdict() == (0.001, Connect(WHY))
        assert stage.vendor.said == ["speak", f"inform {OVERRULED[Choice.ALLOW]}"]
        assert stage.screening.decided == Connect(WHY)


async def test_a_connect_by_the_user_with_transfer_refer_requests_a_refer() -> None:
    async with staged(REFERRING) as stage:
        stage.vendor.fails["refer"] = ProviderError("no")
        stage.screening.overrule(Connect(WHY))
        assert (await stage.verdict())[1] == Connect(WHY)
        assert "refer" in stage.vendor.done


async def test_after_a_decline_by_the_user_the_agent_says_goodbye() -> None:
    async with staged() as stage:
        assert stage.screening.overrule(Decline(WHY))
        assert await stage.verdict() == (2.001, Decline(WHY))
        assert stage.vendor.said[1:] == [f"inform {OVERRULED[Choice.REJECT]}", "speak without tools"]


async def test_the_goodbye_after_a_decline_by_the_user_waits_for_the_current_sentence() -> None:
    async with staged() as stage:
        stage.vendor.emits(ResponseBegan("r1"), SoundBegan("r1"), ResponseEnded("r1", "completed"))
        await settled()
        assert stage.screening.overrule(Decline(WHY))
        asyncio.get_running_loop().call_later(10, stage.vendor.emits, SoundEnded("r1"))
        at, verdict = await stage.verdict()
        assert (round(at), verdict) == (12, Decline(WHY))
        assert stage.vendor.said[-1] == "speak without tools"


async def test_after_take_message_by_the_user_the_agent_announces_it() -> None:
    async with staged() as stage:
        assert stage.screening.overrule(TakeMessage(WHY))
        assert await stage.verdict() == (2.001, TakeMessage(WHY))


async def test_the_user_cannot_overrule_a_decision_already_made() -> None:
    async with staged() as stage:
        stage.vendor.decides("REJECT")
        await settled()
        assert not stage.screening.overrule(Connect(WHY))
        assert not stage.screening.ask("Which company?")
        assert isinstance((await stage.verdict())[1], Decline)


async def test_a_decision_of_the_agent_after_that_of_the_user_is_refused() -> None:
    async with staged() as stage:
        assert stage.screening.overrule(TakeMessage(WHY))
        stage.vendor.decides("ALLOW")
        assert (await stage.verdict())[1] == TakeMessage(WHY)
        await settled()
        assert "answer tool1 ok=False" in stage.vendor.said


async def test_the_user_cannot_decide_before_the_agent_is_attached() -> None:
    async with staged() as stage:
        fresh = type(stage)(REFERRING).screening
        assert not fresh.overrule(Connect(WHY))
        assert not fresh.ask("Who?")
        assert not stage.screening.overrule(Undecided(WHY))


async def test_the_user_cannot_decide_before_the_agent_has_answered() -> None:
    async with staged(answered=False) as stage:
        assert not stage.screening.overrule(Decline(WHY))
        stage.screening.tell(News.AGENT_ANSWERED)
        assert stage.screening.overrule(Decline(WHY))


async def test_the_user_may_decide_again_after_the_phone_was_busy() -> None:
    async with staged() as stage:
        stage.screening.overrule(Connect(WHY))
        await stage.verdict()
        stage.screening.tell(News.PHONE_BUSY)
        await settled()
        assert stage.screening.overrule(TakeMessage(WHY))
        assert (await stage.verdict())[1] == TakeMessage(WHY)


async def test_a_lost_session_does_not_change_the_decision_of_the_user() -> None:
    async with staged() as stage:
        stage.screening.overrule(Decline(WHY))
        stage.vendor.drops()
        assert (await stage.verdict())[1] == Decline(WHY)


async def test_a_question_of_the_user_is_asked_by_the_agent_and_transcribed() -> None:
    async with staged() as stage:
        assert stage.screening.ask("Which company are you from?")
        await settled()
        assert stage.vendor.said[1:] == [f"inform {user_asks('Which company are you from?')}", "speak"]
        assert [(line.speaker, line.text) for line in stage.screening.transcript] == [
            ("user", "Which company are you from?")
        ]


async def test_a_pending_question_is_dropped_after_a_decision_by_the_user() -> None:
    async with staged() as stage:
        assert stage.screening.ask("Which company?")
        assert stage.screening.overrule(Connect(WHY))
        await stage.verdict()
        assert not any("Which company?" in said for said in stage.vendor.said)


async def test_transcript_lines_are_passed_to_followers_as_they_arrive() -> None:
    async with staged() as stage:
        lines: list[TranscriptLine] = []
        stage.screening.follow(lines.append)
        stage.vendor.emits(CallerSaid("It is Anna."))
        await asyncio.sleep(1)
        assert lines == [TranscriptLine("caller", "It is Anna.", lines[0].at_s)]
        assert list(stage.screening.transcript) == lines


async def test_the_user_cannot_decide_after_the_agent_has_left() -> None:
    async with staged() as stage:
        stage.screening.tell(News.AGENT_LEFT)
        await asyncio.sleep(2.1)
        assert not stage.screening.overrule(Connect(WHY))
