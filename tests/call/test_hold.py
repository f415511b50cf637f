"""Hold and resume by the caller: nothing is sent to a leg on hold, and the same media resume."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.lab.audio import AGENT_HZ, PHONE_HZ
from proxy.lab.peer_sdp import directed, revised
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, summary


async def holds(edge: Edge, hertz: int) -> None:
    """The caller holds for five seconds: silence both ways, then the same audio again."""
    held = await edge.carrier.reinvites(hold=True)
    assert held.status == 200
    assert b"a=recvonly" in held.body
    began = edge.now
    await edge.time_passes(5)
    assert not edge.caller_audio.hears(hertz, since=began + 0.1)
    assert edge.caller_audio.longest_gap_ms(began + 0.1, edge.now) > 4800
    back = await edge.carrier.reinvites(hold=False)
    assert b"a=sendrecv" in back.body
    resumed = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(hertz, since=resumed)
    assert edge.caller_audio.longest_gap_ms(resumed + 0.1, edge.now) < 100


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_caller_can_hold_and_resume_with_the_agent_and_with_the_phone_rfc3264_8_4(
    new_edge: NewEdge, transport: str
) -> None:
    async with new_edge(transport=transport) as edge:
        await edge.connects()
        await holds(edge, AGENT_HZ)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        await holds(edge, PHONE_HZ)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        edge.assert_one_rtp_stream(edge.caller_audio)
        await edge.assert_clean()


async def test_a_caller_bridged_while_on_hold_hears_the_phone_after_resuming(edge: Edge) -> None:
    await edge.connects()
    await edge.carrier.reinvites(hold=True)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    held = edge.now
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(2)
    assert edge.caller_audio.longest_gap_ms(held + 0.1, edge.now) > 1800
    await edge.carrier.reinvites(hold=False)
    back = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=back)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_one_rtp_stream(edge.caller_audio)
    await edge.assert_clean()


async def test_the_phone_can_hold_and_resume_a_bridged_call(edge: Edge) -> None:
    await edge.bridges()
    call = edge.phone.current
    assert (await call.reinvites(directed(revised(call.sdp, 1), "sendonly"))).status == 200
    await edge.time_passes(3)
    assert (await call.reinvites(directed(revised(call.sdp, 1), "sendrecv"))).status == 200
    back = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=back)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_one_rtp_stream(edge.phone_audio)
    await edge.assert_clean()


@pytest.mark.relay_only("elsewhere the other peer says what it can use: test_direct.py")
async def test_a_reinvite_without_a_common_codec_gets_488_and_the_call_goes_on_rfc3261_14_2(
    edge: Edge,
) -> None:
    await edge.bridges()
    call = edge.carrier.current
    good = call.sdp
    refused = await edge.carrier.reinvites(body=good.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18"))
    assert refused.status == 488
    assert refused.headers.get("Warning") == '399 sbc.example.com "no audio format in common"'
    before = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=before)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    edge.assert_never_silent()
    await edge.assert_clean()
