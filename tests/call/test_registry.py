"""The call registry: which INVITEs become calls, how the others are answered, and shutdown."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.call.outcome import Result
from proxy.lab.audio import CALLER_HZ, PHONE_HZ
from proxy.media.ports import PortPool
from screening.contract import Caller, News, Plan, Verdict
from tests.kit.edge import Edge, NewEdge, a_number, leg_ends, summary

NO_AUDIO = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.13\r\ns=-\r\nc=IN IP4 192.0.2.13\r\nt=0 0\r\nm=video 4000 RTP/AVP 99\r\n"
)


async def test_an_unknown_number_is_404(edge: Edge) -> None:
    await edge.carrier.invites(dialed="+14155550199")
    await edge.carrier.receives(404)
    await edge.time_passes(40)
    assert edge.records == []
    assert not any(edge.core.left_over().values())


async def test_a_call_over_max_calls_gets_503(new_edge: NewEdge) -> None:
    async with new_edge(max_calls=1) as edge:
        await edge.connects()
        first = edge.carrier.current
        await edge.carrier.invites()
        await edge.carrier.receives(503, retry_after="30")
        await first.hangs_up()
        await edge.over()
        await edge.assert_clean()


async def test_no_free_media_port_is_503(new_edge: NewEdge) -> None:
    async with new_edge(ports=PortPool(20000, 20001)) as edge:
        ports = edge.ports.take()
        with capture_logs() as logs:
            await edge.carrier.invites()
            await edge.carrier.receives(503)
        record = await edge.over()
        assert summary(record) == (Result.REFUSED, None, None, None)
        assert record.outcome.reason == "no free media port"
        assert [each["why"] for each in logs if each["event"] == "turned away"] == ["no free media port"]
        edge.ports.give_back(ports)
        await edge.assert_clean()


async def test_without_media_ports_for_agent_and_phone_the_caller_gets_voicemail(new_edge: NewEdge) -> None:
    async with new_edge(ports=PortPool(20000, 20001)) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.time_passes(3)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, None, "failure", "caller")
        assert leg_ends(record)[1:] == [("agent", "no free media port"), ("phone", "no free media port")]
        await edge.assert_clean()


@pytest.mark.parametrize("body", [b"not a description", NO_AUDIO], ids=["broken", "video only"])
async def test_an_unusable_offer_is_488(edge: Edge, body: bytes) -> None:
    await edge.carrier.invites(body=body)
    refused = await edge.carrier.receives(488)
    assert (refused.headers.get("Warning") or "").startswith('399 sbc.example.com "')  # RFC 3261 §20.43
    assert summary(await edge.over()) == (Result.REFUSED, None, None, None)
    assert len(edge.agent.calls) == 0
    await edge.assert_clean()


async def test_an_invite_without_an_offer_gets_ours_rfc3261_13_2_1(edge: Edge) -> None:
    edge.carrier.auto.discard("ACK")
    await edge.carrier.invites(body=b"")
    await edge.agent.answers()
    ok = await edge.carrier.receives(200)
    assert b"m=audio" in ok.body
    call = edge.carrier.current
    ack = call._build("ACK", call.cseq, edge.carrier.vias(edge.carrier.ids.branch()), edge.caller_audio.sdp())
    call.flow.send(ack.encode())
    edge.caller_audio.start_towards(ok.body)
    edge.carrier.auto.add("ACK")
    await edge.time_passes(1)
    await edge.agent.refers("tel:+14155559876")
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_an_ack_without_the_sdp_answer_ends_the_call(edge: Edge) -> None:
    await edge.carrier.invites(body=b"")  # and the ACK contains no answer either
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.carrier.receives("BYE")
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.REFUSED, None, None, None)
    assert leg_ends(record)[0] == ("caller", "no usable audio was agreed")
    await edge.assert_clean()


async def test_a_session_interval_that_is_too_small_is_422_rfc4028_9(edge: Edge) -> None:
    original = edge.carrier._invite

    def hurried(*args):  # the same INVITE with a session interval of one minute
        invite = original(*args)
        invite.headers.set("Session-Expires", "60;refresher=uac")
        invite.headers.remove("Min-SE")
        return invite

    edge.carrier._invite = hurried
    await edge.carrier.invites()
    await edge.carrier.receives(422, min_se="90")
    record = await edge.over()
    assert summary(record) == (Result.REFUSED, None, None, None)
    assert record.outcome.reason == "the session interval asked for is too small"
    await edge.assert_clean()


async def test_draining_refuses_new_calls_with_503_and_lets_live_ones_finish(edge: Edge) -> None:
    await edge.connects()
    first = edge.carrier.current
    closed = asyncio.ensure_future(edge.registry.drain(60))
    await edge.time_passes(1)
    await edge.carrier.invites()
    await edge.carrier.receives(503, retry_after="30")
    await first.hangs_up()
    await closed
    assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
    await edge.assert_clean()


async def test_calls_still_live_at_the_drain_limit_are_ended(edge: Edge) -> None:
    await edge.bridges()
    began = edge.now
    await edge.registry.drain(30)
    assert edge.now - began == pytest.approx(30, abs=0.1)
    bye = await edge.carrier.receives("BYE")
    assert bye.headers.get("Reason") == 'Q.850;cause=41;text="the server is shutting down"'
    await edge.phone.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", None)
    assert {end for name, end in leg_ends(record) if name != "agent"} == {"the server is shutting down"}
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_an_unanswered_call_gets_503_at_shutdown(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.agent.receives("INVITE")
    await edge.registry.drain(0)
    await edge.carrier.receives(503)
    await edge.agent.receives("CANCEL")
    assert summary(await edge.over()) == (Result.CUT, None, None, None)
    await edge.assert_clean()


async def test_an_exception_in_the_screener_ends_only_its_own_call_with_500(edge: Edge) -> None:
    await edge.connects()
    healthy = edge.carrier.current
    right = edge.screener.plan

    async def wrong(caller: Caller) -> Plan:
        raise KeyError("a bug")

    edge.screener.plan = wrong
    with capture_logs() as logs:
        await edge.carrier.invites()
        await edge.carrier.receives(500)
        record = await edge.over()
    assert summary(record) == (Result.CUT, None, None, None)
    assert leg_ends(record) == [("caller", "an internal error")]
    [error] = [line for line in logs if line["log_level"] == "error"]
    assert (error["event"], error["call"]) == ("call failed", record.call)
    assert repr(error["exc_info"]) == "KeyError('a bug')"
    edge.screener.plan = right
    await edge.time_passes(1)
    await healthy.hangs_up()
    await edge.assert_clean(calls=2)


async def test_an_exception_during_a_call_ends_every_leg_of_it(edge: Edge) -> None:
    async def wrong() -> Verdict:
        await asyncio.sleep(1)
        raise KeyError("a bug")

    edge.screening.verdict = wrong
    await edge.connects()
    await edge.carrier.receives("BYE")
    await edge.agent.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.CUT, None, None, None)
    assert [end for _, end in leg_ends(record)] == ["an internal error"] * 2
    await edge.assert_clean()


async def test_an_exception_while_storing_the_record_is_logged(edge: Edge) -> None:
    kept = edge.registry._finished

    def wrong(record) -> None:
        kept(record)
        raise OSError("disk full")

    edge.registry._finished = wrong
    await edge.connects()
    with capture_logs() as logs:
        await edge.carrier.hangs_up()
        await edge.over()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["record not kept"]
    assert edge.screening.news[-1] is News.CALLER_LEFT
    await edge.assert_clean()


async def test_a_wildcard_number_accepts_any_dialed_number(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(dialed="*")) as edge:
        await edge.carrier.invites(dialed="+14155550199")
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert (await edge.over()).dialed == "*"
        await edge.assert_clean()


async def test_concurrent_calls_are_independent(edge: Edge) -> None:
    for _ in range(5):
        await edge.carrier.invites()
        await edge.agent.answers()
        await edge.carrier.receives(200)
    callers = list(edge.carrier.calls.values())
    for caller in callers:
        await caller.hangs_up()
    await edge.over(5)
    assert [record.outcome.result for record in edge.records] == [Result.CALLER_LEFT] * 5
    await edge.assert_clean(calls=5)
