"""The key-press challenge: the caller must press an announced digit, before or instead of the agent."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from proxy.call.challenge import KEYS, ChallengeSettings
from proxy.call.journal import Journal
from proxy.call.outcome import OnFailure, Result
from proxy.call.record import CallRecord
from proxy.call.routing import Confirmation
from proxy.lab.audio import AGENT_HZ, BEEP_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ, SPEECH_HZ
from screening.contract import Ask, Caller, Challenge, Plan, Refusal, Refuse, Ring, Undecided
from tests.call.test_whisper import Voice, payloads_sent_to, recorded_prompts
from tests.kit.edge import BEGAN, Edge, NewEdge, a_number, summary

WHY = "anonymous: the number is withheld"
GATE = Challenge(WHY)


def key(voice: Voice) -> str:
    """The digit in the latest announcement."""
    said = [text for text, _ in voice.texts if "put through" in text]
    found = re.search(r"press (\d)\.$", said[-1])
    assert found is not None
    return found[1]


def wrong(voice: Voice) -> str:
    return next(each for each in KEYS if each != key(voice))


async def challenged(edge: Edge) -> None:
    """A call comes in, and the caller hears the announcement."""
    edge.screener.planned = GATE
    await edge.carrier.invites()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    assert edge.caller_audio.hears(SPEECH_HZ)


def test_the_record_has_whether_the_challenge_was_passed() -> None:
    record = CallRecord("7f3a", None, "*", BEGAN)
    journal = Journal(record, lambda: BEGAN)
    journal.step("challenge not possible", "its audio passes us by")
    assert record.challenge_passed is None
    journal.challenged("gate")
    journal.step("challenge", "a wrong key")
    assert record.challenge_passed is False
    journal.challenge_passed(4.0)
    assert record.challenge_passed is True
    journal.challenged("the agent is away")
    assert record.challenge_passed is True
    assert record.steps[-2:] == [
        "challenge passed: the right key after 4.0 s",
        "challenged: the agent is away",
    ]


async def test_a_caller_who_presses_the_right_key_is_put_through(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await challenged(edge)
        assert voice.texts == [(f"This number is protected. To be put through, press {key(voice)}.", "en")]
        edge.carrier.presses(key(voice))
        pressed = edge.now
        await edge.phone.rings()
        assert edge.now - pressed < 0.5
        await edge.time_passes(5)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=pressed + 0.5)
        await edge.phone.answers()
        await edge.time_passes(1)
        assert edge.caller_audio.hears(PHONE_HZ)
        assert edge.phone_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, None, "plan", "caller")
        assert record.challenge_passed is True
        assert len(edge.agent.calls) == 0
        assert [step.partition(":")[0] for step in record.steps][:4] == [
            "planned",
            "caller answered",
            "challenged",
            "challenge passed",
        ]
        assert [caller.challenged for caller in edge.screener.callers] == [False, True]
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_the_challenge_key_is_accepted_by_sip_info(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await challenged(edge)
        headers = [("Content-Type", "application/dtmf-relay")]
        body = f"Signal={key(voice)}\r\nDuration=160\r\n".encode()
        assert (await edge.carrier.requests("INFO", headers=headers, body=body)).status == 200
        await edge.phone.answers()
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_a_wrong_key_gives_another_try_with_another_key(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await challenged(edge)
        first = key(voice)
        edge.carrier.presses(wrong(voice))
        await edge.time_passes(1)
        assert voice.texts[1][0].startswith("That was not the right key. To be put through, press")
        assert key(voice) != first
        edge.carrier.presses(key(voice))
        await edge.phone.answers()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.BRIDGED
        assert "challenge: a wrong key" in record.steps
        await edge.assert_clean()


async def test_several_wrong_keys_in_a_row_count_as_one_try(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await challenged(edge)
        wrong_one = wrong(voice)
        for _ in range(4):
            edge.carrier.presses(wrong_one)
            await edge.time_passes(0.12)
        await edge.time_passes(1)
        edge.carrier.presses(key(voice))
        await edge.phone.answers()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.BRIDGED
        assert record.steps.count("challenge: a wrong key") == 1
        await edge.assert_clean()


async def test_keys_pressed_before_the_challenge_prompt_are_ignored(new_edge: NewEdge) -> None:
    number = a_number(on_failure=OnFailure.CHALLENGE)
    async with new_edge(number=number, speech=(voice := Voice())) as edge:
        await edge.connects()
        for each in KEYS:
            edge.carrier.presses(each)
            await edge.time_passes(0.3)
        edge.screening.decides(Undecided("the session is lost"))
        await edge.time_passes(1.5)
        assert len(voice.texts) == 1
        edge.carrier.presses(key(voice))
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[:3] == (Result.BRIDGED, None, "failure")
        await edge.assert_clean()


async def test_a_caller_who_presses_no_key_in_three_tries_gets_voicemail(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await challenged(edge)
        began = edge.now
        while not edge.caller_audio.hears(BEEP_HZ):
            await edge.time_passes(0.5)
        assert edge.now - began == pytest.approx(30, abs=4), "three tries of ten seconds"
        assert edge.caller_audio.longest_gap_ms(began, edge.now) < 2000
        assert len(voice.texts) == 3
        await edge.time_passes(3)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, None, None, "caller")
        assert record.challenge_passed is False
        assert record.outcome.reason == f"no right key was pressed: {WHY}"
        assert record.steps.count("challenge: no key was pressed") == 3
        assert len(edge.phone.calls) == 0
        await edge.assert_clean()


async def test_a_caller_with_three_wrong_keys_is_rejected_if_so_configured(new_edge: NewEdge) -> None:
    terms = ChallengeSettings(rejects=True)
    async with new_edge(number=a_number(challenge=terms), speech=(voice := Voice())) as edge:
        await challenged(edge)
        for _ in range(3):
            edge.carrier.presses(wrong(voice))
            await edge.time_passes(0.5)
        await edge.carrier.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.DECLINED, None, None, None)
        assert voice.texts[-1] == ("Goodbye.", "en")
        assert (record.voicemail, len(edge.phone.calls)) == (None, 0)
        edge.assert_never_silent()
        await edge.assert_clean()


@pytest.mark.parametrize("number", range(len(KEYS)))
async def test_the_challenge_works_with_the_recorded_prompts(edge: Edge, number: int) -> None:
    """Without a voice, the announcement is a recorded English prompt, including the digit."""
    edge.ids.bits = lambda count: number  # type: ignore[method-assign]
    played = payloads_sent_to(edge, edge.caller_audio)
    edge.screener.planned = GATE
    await edge.carrier.invites()
    await edge.carrier.receives(200)
    await edge.time_passes(8)
    announced = f"This number is protected. To be put through, press {KEYS[number]}."
    assert await recorded_prompts(announced) in played
    edge.carrier.presses(KEYS[number])
    await edge.phone.answers()
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record)[0] is Result.BRIDGED
    assert record.challenge_passed is True
    assert "challenge: a wrong key" not in record.steps
    assert not any("not spoken" in step for step in record.steps)
    await edge.assert_clean()


async def test_speech_not_ready_within_1_s_is_replaced_by_the_recorded_prompts(new_edge: NewEdge) -> None:
    number = a_number(language="de")
    async with new_edge(number=number, speech=(voice := Voice(after_s=5.0))) as edge:
        edge.screener.planned = GATE
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.time_passes(1.2)
        german = "Diese Nummer ist geschützt. Um verbunden zu werden, drücken Sie die"
        assert voice.texts[0][0].startswith(german)
        await edge.time_passes(8)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.CALLER_LEFT
        assert "challenge not spoken: nothing was spoken within 1 s" in record.steps
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_caller_who_hangs_up_during_the_challenge_is_recorded_as_left(new_edge: NewEdge) -> None:
    async with new_edge(speech=Voice()) as edge:
        await challenged(edge)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
        await edge.assert_clean()


async def test_a_caller_may_hang_up_before_the_challenge_prompt(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(record=True, announcement=None), speech=Voice()) as edge:
        edge.screener.planned = GATE
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.CALLER_LEFT
        await edge.assert_clean()


def after(edge: Edge, plan: Plan) -> None:
    """Set the plan for a caller who has pressed the key."""
    asked = edge.screener.plan

    async def plans(caller: Caller) -> Plan:
        await asked(caller)
        return plan if caller.challenged else GATE

    edge.screener.plan = plans  # type: ignore[method-assign]


async def test_a_caller_who_passes_the_challenge_is_connected_to_the_agent(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        after(edge, Ask(edge.screening, {"X-Screendoor-Token": "t0ken"}))
        await challenged(edge)
        edge.carrier.presses(key(voice))
        await edge.agent.invited()
        await edge.time_passes(3)
        assert edge.caller_audio.hears(RINGBACK_HZ)
        await edge.agent.answers()
        await edge.time_passes(1)
        assert edge.caller_audio.hears(AGENT_HZ)
        assert edge.agent_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.CALLER_LEFT, None, None, "caller")
        edge.assert_never_silent()
        edge.screener.planned = None
        await edge.assert_clean()


@pytest.mark.parametrize("mode", ["relay", "direct"])
async def test_after_the_challenge_agent_and_phone_are_connected_in_every_media_mode(
    new_edge: NewEdge, mode: str
) -> None:
    async with new_edge(speech=(voice := Voice()), mode=mode) as edge:
        after(edge, Ask(edge.screening, {"X-Screendoor-Token": "t0ken"}))
        await challenged(edge)
        edge.carrier.presses(key(voice))
        await edge.agent.answers()
        await edge.time_passes(2)
        assert edge.caller_audio.hears(AGENT_HZ)
        await edge.agent.refers("tel:+14155559876")
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.time_passes(2)
        assert edge.caller_audio.hears(PHONE_HZ)
        assert edge.phone_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        edge.screener.planned = None
        await edge.assert_clean()


async def test_a_caller_who_passes_the_challenge_may_still_be_refused_by_the_plan(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        after(edge, Refuse(Refusal.BLOCKED, "block: changed meanwhile", 607))
        await challenged(edge)
        edge.carrier.presses(key(voice))
        bye = await edge.carrier.receives("BYE")
        assert bye.headers.get("Reason") == 'Q.850;cause=21;text="the caller is not wanted"'
        assert summary(await edge.over())[0] is Result.DECLINED
        await edge.assert_clean()


# As the fallback when the agent is unavailable.


async def lost_before_answer(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.rejects(503)


async def lost_in_talk(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Undecided("the session is lost"))


async def lost_with_its_leg(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.hangs_up()


async def not_even_asked(edge: Edge) -> None:
    edge.screener.planned = Undecided("the budget of the day is spent")
    await edge.carrier.invites()


async def known_to_be_down(edge: Edge) -> None:
    edge.down.add("agent:openai")
    await edge.carrier.invites()


async def no_webhook(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.invited()
    await edge.time_passes(8.1)


LOSSES = [lost_before_answer, lost_in_talk, lost_with_its_leg, not_even_asked, known_to_be_down, no_webhook]


@pytest.mark.parametrize("lost", LOSSES)
async def test_a_lost_agent_leads_to_the_challenge_if_so_configured(new_edge: NewEdge, lost) -> None:
    number = a_number(on_failure=OnFailure.CHALLENGE)
    places = tuple(replace(each, confirm=Confirmation.UNSCREENED) for each in number.destinations)
    async with new_edge(number=replace(number, destinations=places), speech=(voice := Voice())) as edge:
        await lost(edge)
        await edge.time_passes(1.5)
        assert edge.caller_audio.hears(SPEECH_HZ)
        edge.carrier.presses(key(voice))
        await edge.phone.answers()
        await edge.time_passes(1)
        assert voice.texts[-1] == ("The caller was not screened.", "en")
        assert edge.phone_audio.hears(SPEECH_HZ)
        await edge.time_passes(3)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
        edge.assert_never_silent()
        await edge.assert_clean()


@pytest.mark.parametrize("lost", LOSSES)
@pytest.mark.parametrize("rejects", [False, True])
async def test_a_caller_who_fails_the_fallback_challenge_never_rings_the_phone(
    new_edge: NewEdge, lost, rejects: bool
) -> None:
    number = a_number(on_failure=OnFailure.CHALLENGE, challenge=ChallengeSettings(1, 5.0, rejects))
    async with new_edge(number=number, speech=Voice()) as edge:
        await lost(edge)
        await edge.time_passes(12)
        if not rejects:
            await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.outcome.result is (Result.DECLINED if rejects else Result.VOICEMAIL)
        assert len(edge.phone.calls) == 0
        await edge.assert_clean()


@pytest.mark.parametrize("lost", LOSSES)
@pytest.mark.parametrize("then", [OnFailure.RING, OnFailure.VOICEMAIL, OnFailure.REJECT])
async def test_every_on_failure_setting_applies_however_the_agent_is_lost(
    new_edge: NewEdge, lost, then: OnFailure
) -> None:
    async with new_edge(number=a_number(on_failure=then)) as edge:
        await lost(edge)
        match then:
            case OnFailure.RING:
                await edge.phone.answers()
                await edge.time_passes(1)
                await edge.carrier.hangs_up()
            case OnFailure.VOICEMAIL:
                await edge.time_passes(4)
                await edge.carrier.hangs_up()
        record = await edge.over()
        results = {OnFailure.RING: Result.BRIDGED, OnFailure.VOICEMAIL: Result.VOICEMAIL}
        expected = results.get(then, Result.UNANSWERED if record.answered else Result.REFUSED)
        assert record.outcome.result is expected
        assert any(step.startswith("unscreened: ") for step in record.steps)
        await edge.assert_clean()


async def test_after_a_phone_that_was_tried_there_is_no_challenge_but_a_message(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.CHALLENGE)) as edge:
        edge.screener.planned = Ring("on the list")
        await edge.carrier.invites()
        await edge.phone.rejects(486)
        await edge.carrier.receives(200)
        await edge.time_passes(3)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.VOICEMAIL, None, "plan", "caller")
        await edge.assert_clean()
