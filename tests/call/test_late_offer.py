"""INVITEs without an offer, and callers that require reliable provisional responses (RFC 3262)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ
from proxy.lab.message_templates import PHONE_SDP, SIGNALWIRE_SDP, sdp
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import directed, moved_to, revised
from proxy.sip.message import Response
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, leg_ends, summary

REQUIRED = ("Require", "100rel")


async def invites_late(edge: Edge, *headers: tuple[str, str]) -> PeerCall:
    """The caller's INVITE has no offer; its answer is prepared for later."""
    call = await edge.carrier.invites(body=b"", headers=headers)
    call.sdp = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio)
    return call


async def pracks(call: PeerCall, ringing: Response, body: bytes = b"") -> Response:
    rack = f"{ringing.headers.get('RSeq')} {ringing.cseq}"
    return await call.requests("PRACK", headers=[("RAck", rack)], body=body)


async def hears_the_agent_then_the_phone(edge: Edge) -> None:
    assert edge.caller_audio.hears(AGENT_HZ)
    assert edge.agent_audio.hears(CALLER_HZ)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    bridged = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=bridged)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_one_rtp_stream(edge.caller_audio)
    await edge.assert_clean()


async def test_a_caller_without_an_offer_answers_ours_in_the_ack_rfc3261_13_2_1(edge: Edge) -> None:
    await invites_late(edge)
    await edge.agent.answers()
    assert (await edge.carrier.receives(200)).body
    await edge.time_passes(1)
    await hears_the_agent_then_the_phone(edge)


async def test_a_caller_that_requires_100rel_gets_a_reliable_180_and_is_answered_rfc3262_3(
    edge: Edge,
) -> None:
    call = await edge.carrier.invites(headers=[REQUIRED])
    ringing = await edge.carrier.receives(180)
    assert (await pracks(call, ringing)).status == 200
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    await hears_the_agent_then_the_phone(edge)


async def test_a_caller_without_an_offer_that_requires_100rel_answers_in_the_prack_rfc3262_5(
    new_edge: NewEdge,
) -> None:
    async with new_edge(transport="tls") as edge:
        call = await invites_late(edge, REQUIRED)
        ringing = await edge.carrier.receives(180)
        assert (await pracks(call, ringing, call.sdp)).status == 200
        call._talk(ringing.body)
        await edge.agent.answers()
        assert (await edge.carrier.receives(200)).body == b""
        await edge.time_passes(1)
        await hears_the_agent_then_the_phone(edge)


@pytest.mark.parametrize("seed", range(6))
async def test_our_offer_in_a_reliable_180_is_answered_despite_loss_and_reordering(
    new_edge: NewEdge, seed: int
) -> None:
    async with new_edge(seed=seed) as edge:
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)
        call = await invites_late(edge, REQUIRED)
        ringing = await edge.carrier.receives(180)
        assert (await pracks(call, ringing, call.sdp)).status == 200
        call._talk(ringing.body)
        await edge.agent.answers()
        assert (await edge.carrier.receives(200)).body == b""
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.CALLER_LEFT, None, None, "caller")
        await edge.assert_clean()


async def test_a_caller_that_never_sends_prack_for_the_180_gets_504_and_the_call_ends_rfc3262_3(
    edge: Edge,
) -> None:
    await edge.carrier.invites(headers=[REQUIRED])
    await edge.agent.receives("INVITE")
    await edge.carrier.receives(504)
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, None, "failure", "caller")
    assert leg_ends(record)[0] == ("caller", "the peer never acknowledged a provisional response")
    await edge.assert_clean()


@pytest.mark.parametrize("reliable", [True, False])
async def test_a_caller_hears_the_agent_during_the_phones_early_media_and_the_phone_once_it_answers(
    edge: Edge, reliable: bool
) -> None:
    """The phone's early media does not reach the caller, who is still with the agent."""
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    call = await edge.phone.rings()
    call.sdp = moved_to(sdp(PHONE_SDP), edge.phone_audio)
    early = edge.now
    edge.phone._says(call, 183, call.sdp, (REQUIRED, ("RSeq", "1")) if reliable else ())
    if reliable:
        edge.phone.responds(await edge.phone.receives("PRACK"), 200)
    await edge.time_passes(2)
    assert edge.caller_audio.hears(AGENT_HZ, since=early)
    edge.phone._says(call, 200, b"" if reliable else call.sdp)
    await edge.agent.receives("BYE")
    bridged = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=bridged)
    assert edge.phone_audio.hears(CALLER_HZ, since=bridged)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_a_phones_reinvite_without_an_offer_gets_ours_and_audio_continues_rfc3261_14_2(
    edge: Edge,
) -> None:
    await edge.bridges()
    offer = await edge.phone.current.requests("INVITE")
    assert b"a=sendrecv" in offer.body
    after = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=after)
    assert edge.phone_audio.hears(CALLER_HZ, since=after)
    edge.assert_one_rtp_stream(edge.caller_audio)
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_reinvite_without_an_offer_takes_a_caller_off_hold_rfc3261_14_2(edge: Edge) -> None:
    await edge.connects()
    await edge.carrier.reinvites(hold=True)
    await edge.time_passes(2)
    call = edge.carrier.current
    call.sdp = directed(revised(call.sdp, 1), "sendrecv")
    assert b"a=sendrecv" in (await call.requests("INVITE")).body
    back = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ, since=back)
    await edge.carrier.hangs_up()
    await edge.assert_clean()
