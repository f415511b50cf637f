"""The fallback: without a decision, `on_failure` is carried out while the agent stays with the caller."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from proxy.call.outcome import OnFailure, Result
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ
from screening.contract import Connect, Decline, Message, News, Refusal, Refuse, Ring, TakeMessage, Undecided
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, leg_ends, summary

LIMIT = Undecided("the talk limit is reached")


async def test_without_a_decision_the_phone_rings_unscreened_while_the_agent_talks_on(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(LIMIT)
    await edge.phone.rings()
    rings = edge.now
    await edge.time_passes(3)
    assert edge.caller_audio.hears(AGENT_HZ, since=rings + 2)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, None, "failure", "caller")
    assert "unscreened: the talk limit is reached" in record.steps
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_refer_during_the_unscreened_ring_is_accepted_without_a_second_call(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(LIMIT)
    await edge.phone.rings()
    assert (await edge.agent.refers(f"tel:{PHONE_NUMBER}")).status == 202
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()


async def test_an_unscreened_ring_that_is_busy_leads_to_voicemail(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(LIMIT)
    await edge.phone.rejects(486)
    await edge.agent.receives("BYE")
    await edge.time_passes(3)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, None, "failure", "caller")
    assert record.outcome.reason == "the talk limit is reached"
    await edge.assert_clean()


async def test_a_phone_that_was_busy_is_not_rung_again_when_no_decision_comes(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.phone.rejects(486)
    await edge.time_passes(1)
    edge.screening.decides(LIMIT)
    await edge.agent.receives("BYE")
    await edge.time_passes(3)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.VOICEMAIL, "ALLOW", "verdict", "caller")
    assert len(edge.phone.calls) == 1
    await edge.assert_clean()


async def test_without_a_decision_the_caller_is_rejected_if_on_failure_is_reject(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.connects()
        edge.screening.decides(LIMIT)
        await edge.carrier.receives("BYE")
        await edge.agent.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.UNANSWERED, None, None, None)
        assert leg_ends(record) == [("caller", "the call is over"), ("agent", "the call is over")]
        await edge.assert_clean()


async def test_without_an_agent_the_caller_gets_480_if_on_failure_is_reject(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(486)
        await edge.carrier.receives(480)
        assert summary(await edge.over()) == (Result.REFUSED, None, None, None)
        await edge.assert_clean()


async def test_a_caller_declined_by_the_agent_is_hung_up_without_ringing_the_phone(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(Decline("a robot that sells solar panels"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.DECLINED, "REJECT", None, None)
    assert record.why == "a robot that sells solar panels"
    assert leg_ends(record) == [("caller", "the call is over"), ("agent", "the call is over")]
    assert len(edge.phone.calls) == 0
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_known_caller_is_put_through_unscreened(edge: Edge) -> None:
    edge.screener.planned = Ring("on the list")
    await edge.carrier.invites()
    await edge.carrier.receives(180)
    await edge.phone.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.phone.hangs_up()
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, None, "plan", "phone")
    assert len(edge.agent.calls) == 0
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_known_caller_gets_voicemail_if_the_phone_is_busy(edge: Edge) -> None:
    edge.screener.planned = Ring("on the list")
    await edge.carrier.invites()
    await edge.phone.rejects(486)
    await edge.carrier.receives(200)
    await edge.time_passes(3)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.VOICEMAIL, None, "plan", "caller")
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("phone", "told", "cause"),
    [
        (486, 486, 'Q.850;cause=17;text="the phone is busy"'),
        (600, 486, 'Q.850;cause=17;text="the phone is busy"'),
        (480, 480, 'Q.850;cause=19;text="nobody took the call"'),
        (503, 480, 'Q.850;cause=19;text="nobody took the call"'),
    ],
)
async def test_a_known_caller_gets_the_phones_status_if_on_failure_is_reject(
    new_edge: NewEdge, phone: int, told: int, cause: str
) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        edge.screener.planned = Ring("on the list")
        await edge.carrier.invites()
        await edge.phone.rejects(phone)
        assert (await edge.carrier.receives(told)).headers.get_all("Reason") == [cause]
        assert summary(await edge.over()) == (Result.UNANSWERED, None, "plan", None)
        await edge.assert_clean()


async def test_a_blocked_caller_gets_603_without_being_answered(edge: Edge) -> None:
    edge.screener.planned = Refuse(Refusal.BLOCKED)
    await edge.carrier.invites()
    await edge.carrier.receives(603)
    record = await edge.over()
    assert summary(record) == (Result.REFUSED, None, None, None)
    assert record.outcome.reason == "blocked"
    assert (len(edge.agent.calls), len(edge.phone.calls)) == (0, 0)
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (607, 'Q.850;cause=21;text="the caller is not wanted"'),
        (608, 'Q.850;cause=21;text="the call was rejected by its screening"'),
        (486, 'Q.850;cause=17;text="the phone is busy"'),
        (404, 'Q.850;cause=1;text="the number is not in service"'),
    ],
)
async def test_a_refused_caller_gets_the_status_of_the_plan(
    new_edge: NewEdge, status: int, reason: str
) -> None:
    """RFC 8197, RFC 8688; the Reason of a response is one of Q.850 (RFC 6432)."""
    card = "https://example.com/complaints.jws"
    async with new_edge(number=a_number(reject_card=card)) as edge:
        edge.screener.planned = Refuse(Refusal.BLOCKED, "block: the number is on the block list", status)
        await edge.carrier.invites()
        refusal = await edge.carrier.receives(status)
        assert refusal.headers.get_all("Reason") == [reason]
        told = [f"<{card}>;purpose=jwscard"] if status == 608 else []
        assert refusal.headers.get_all("Call-Info") == told
        assert summary(await edge.over()) == (Result.REFUSED, None, None, None)
        assert (len(edge.agent.calls), len(edge.phone.calls)) == (0, 0)
        await edge.assert_clean()


async def test_a_message_taken_by_the_agent_is_stored_and_no_voicemail_recorded(edge: Edge) -> None:
    await edge.connects()
    with capture_logs() as logs:
        edge.screening.decides(TakeMessage("nobody is in", "Grace", Message("The cake is ready.", "Grace")))
        await edge.agent.receives("BYE")
        await edge.carrier.receives("BYE")
        record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
    assert (record.message, record.voicemail) == (Message("The cake is ready.", "Grace"), None)
    assert "cake" not in str(logs)
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_the_screener_gets_number_name_and_dialed_number_of_the_caller(edge: Edge) -> None:
    edge.screener.planned = Refuse(Refusal.OUT_OF_HOURS)
    await edge.carrier.invites()
    await edge.carrier.receives(603)
    await edge.over()
    [caller] = edge.screener.callers
    assert (caller.number, caller.name, caller.dialed) == ("+13475550148", "Ann Caller", "+14155551234")
    assert (caller.agent, caller.call, caller.at) == ("openai", edge.record.call, edge.record.began)
    assert News.CALLER_LEFT not in edge.screening.news
    await edge.assert_clean()


async def test_a_screening_that_fails_at_once_rings_the_phone_within_a_second(edge: Edge) -> None:
    """The vendor rejected the accept, so nobody will answer the agent's INVITE: the phone rings at once."""
    await edge.carrier.invites()
    await edge.agent.invited()
    edge.screening.decides(Undecided("accept: OpenAI answered 401: the API key is not valid"))
    await edge.phone.answers(within_s=1)
    await edge.carrier.receives(200)
    await edge.phone.receives_nothing(for_s=1)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert record.outcome is not None
    assert (record.outcome.result, record.trigger) == (Result.BRIDGED, "failure")
    await edge.assert_clean()


async def test_a_reason_decided_before_the_agent_answered_is_not_logged(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.invited()
    with capture_logs() as logs:
        edge.screening.decides(Connect("Bob about the boiler"))
        await edge.phone.answers(within_s=1)
        await edge.carrier.receives(200)
        await edge.time_passes(1)
    assert "boiler" not in str(logs)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, None, "failure", "caller")
    await edge.assert_clean()
