"""SRTP in whole calls: every suite, on one leg or all, refused, re-keyed, on hold; keys are never logged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from proxy.call.outcome import Result
from proxy.call.routing import Agent, Number
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ
from proxy.lab.keys import offering, protected
from proxy.lab.message_templates import SIGNALWIRE_SDP, sdp
from proxy.lab.peer_sdp import moved_to, revised
from proxy.media.sdes import SUITES, SrtpPolicy
from proxy.sip.message import Request
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary

OFF, ACCEPT, OFFER, REQUIRE = SrtpPolicy
USUAL = "AES_CM_128_HMAC_SHA1_80"


def a_secure_number(agent: SrtpPolicy = OFFER, phone: SrtpPolicy = ACCEPT) -> Number:
    number = a_number(agent=Agent("openai", "sip:proj_X@sip.api.openai.com:5061;transport=tls", srtp=agent))
    (place,) = number.destinations
    assert place.trunk is not None
    return replace(number, destinations=(replace(place, trunk=replace(place.trunk, srtp=phone)),))


def an_offer(edge: Edge, *suites: str, protocol: str = "RTP/SAVP") -> bytes:
    """The carrier's offer, with keys."""
    return offering(moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio), suites or (USUAL,), protocol=protocol)


async def all_hear(edge: Edge, offer: bytes | None = None) -> None:
    """A complete call: caller and agent hear each other, then caller and phone."""
    await edge.carrier.invites(body=offer)
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ)
    assert edge.agent_audio.hears(CALLER_HZ)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ)
    assert edge.phone_audio.hears(CALLER_HZ)
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    for audio in (edge.caller_audio, edge.agent_audio, edge.phone_audio):
        assert audio.packets_unopened == 0
        assert not audio.line_breaks
    await edge.assert_clean()
    edge.assert_never_silent()


def offers(edge: Edge) -> list[Request]:
    """The INVITEs that the agent received."""
    traced = [each.message for each in edge.agent.trace if each.direction == "<"]
    return [each for each in traced if isinstance(each, Request) and each.method == "INVITE"]


@pytest.mark.parametrize("suite", SUITES)
async def test_a_caller_with_srtp_talks_in_each_suite_and_the_other_legs_use_rtp(
    new_edge: NewEdge, suite: str
) -> None:
    async with new_edge(transport="tls") as edge:
        await all_hear(edge, an_offer(edge, "F8_128_HMAC_SHA1_80", suite))
        assert edge.caller_audio.suite == suite
        assert (edge.agent_audio.suite, edge.phone_audio.suite) == (None, None)


async def test_a_caller_with_rtp_talks_to_an_agent_with_srtp(new_edge: NewEdge) -> None:
    async with new_edge(number=a_secure_number()) as edge:
        await all_hear(edge)
        assert (edge.caller_audio.suite, edge.agent_audio.suite) == (None, USUAL)
        assert b"m=audio 20002 RTP/SAVP " in offers(edge)[0].body


@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/AVP"])
async def test_all_three_legs_use_srtp_in_their_own_suites(new_edge: NewEdge, protocol: str) -> None:
    async with new_edge(transport="tls", number=a_secure_number(REQUIRE, REQUIRE)) as edge:
        edge.caller_srtp = REQUIRE
        await all_hear(edge, an_offer(edge, "AEAD_AES_256_GCM", protocol=protocol))
        suites = [each.suite for each in (edge.caller_audio, edge.agent_audio, edge.phone_audio)]
        assert suites == ["AEAD_AES_256_GCM", USUAL, USUAL]


async def test_an_agent_that_accepts_only_srtp_works_with_default_settings(new_edge: NewEdge) -> None:
    """With SRTP off such a call was connected, billed and silent; by default SRTP is offered."""
    async with new_edge(number=a_secure_number()) as edge:
        await edge.carrier.invites()
        (invite,) = [await edge.agent.receives("INVITE")]
        assert invite.body.count(b"m=audio") == 1
        assert protected(invite.body)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(2)
        assert edge.agent_audio.hears(CALLER_HZ)
        assert edge.caller_audio.hears(AGENT_HZ)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


@pytest.mark.parametrize("status", [415, 488, 606])
async def test_an_agent_that_rejects_srtp_is_called_again_with_rtp_and_recorded_rfc3261_8_1_3_5(
    new_edge: NewEdge, status: int
) -> None:
    async with new_edge(number=a_secure_number(OFFER)) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(status)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        first, second = offers(edge)
        assert (protected(first.body), protected(second.body)) == (True, False)
        assert (first.call_id, first.cseq.number + 1) == (second.call_id, second.cseq.number)
        assert edge.agent_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.steps[0] == "offer refused: agent is called again with another"
        assert record.steps[1] == "audio not protected: agent takes no SRTP"
        assert len([each for each in record.steps if "protected" in each]) == 1
        await edge.assert_clean()


async def test_with_srtp_required_a_rejection_is_not_retried_with_rtp(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_secure_number(REQUIRE)) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(488)
        await edge.phone.answers()
        await edge.carrier.receives(200)
        assert len(offers(edge)) == 1
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[2] == "failure"
        await edge.assert_clean()


@pytest.mark.parametrize(
    ("policy", "protocol", "reason"),
    [
        (ACCEPT, "UDP/TLS/RTP/SAVPF", "DTLS-SRTP is not supported, offer RTP/SAVP with a=crypto (SDES)"),
        (ACCEPT, "RTP/SAVP", "no a=crypto line"),
        (REQUIRE, "RTP/AVP", "SRTP is required: no a=crypto line"),
        (OFF, "RTP/SAVP", "RTP/SAVP is off here, only RTP/AVP"),
    ],
)
async def test_an_offer_against_the_srtp_policy_is_488_with_the_reason_in_the_record(
    new_edge: NewEdge, policy: SrtpPolicy, protocol: str, reason: str
) -> None:
    async with new_edge() as edge:
        edge.caller_srtp = policy
        body = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio)
        await edge.carrier.invites(body=body.replace(b"RTP/AVP", protocol.encode()))
        await edge.carrier.receives(488)
        record = await edge.over()
        assert record.outcome is not None
        assert (record.outcome.result, record.outcome.reason) == (Result.REFUSED, reason)


async def test_hold_and_resume_with_the_same_key_keep_our_key_and_rollover_counter_rfc3711_3_3_1(
    edge: Edge,
) -> None:
    await edge.carrier.invites(body=an_offer(edge))
    await edge.agent.answers()
    answer = await edge.carrier.receives(200)
    await edge.time_passes(1)
    held = await edge.carrier.reinvites(hold=True)
    await edge.time_passes(1)
    back = await edge.carrier.reinvites(hold=False)
    began = edge.now
    await edge.time_passes(1)
    assert len({key(each.body) for each in (answer, held, back)}) == 1
    assert edge.caller_audio.hears(AGENT_HZ, since=began)
    assert edge.agent_audio.hears(CALLER_HZ, since=began)
    assert edge.caller_audio.packets_unopened == 0
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_a_re_invite_with_a_new_key_and_suite_is_accepted_without_an_ssrc_change_rfc4568_7_1_4(
    edge: Edge,
) -> None:
    offer = an_offer(edge)
    await edge.carrier.invites(body=offer)
    await edge.agent.answers()
    answer = await edge.carrier.receives(200)
    await edge.time_passes(1)
    other = await edge.carrier.reinvites(body=revised(an_offer(edge, "AEAD_AES_128_GCM"), 1))
    began = edge.now
    await edge.time_passes(1)
    assert key(answer.body) != key(other.body)
    assert edge.caller_audio.suite == "AEAD_AES_128_GCM"
    assert edge.caller_audio.hears(AGENT_HZ, since=began)
    assert edge.agent_audio.hears(CALLER_HZ, since=began)
    assert not edge.caller_audio.line_breaks.ssrc_changes
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_with_srtp_required_a_re_invite_to_rtp_is_488_and_the_call_goes_on(
    edge: Edge,
) -> None:
    edge.caller_srtp = REQUIRE
    await edge.carrier.invites(body=an_offer(edge))
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    plain = revised(moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio), 1)
    assert (await edge.carrier.reinvites(body=plain)).status == 488
    began = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ, since=began)
    assert edge.agent_audio.hears(CALLER_HZ, since=began)
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_with_srtp_optional_a_re_invite_to_rtp_is_accepted(edge: Edge) -> None:
    await edge.carrier.invites(body=an_offer(edge))
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1)
    plain = revised(moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio), 1)
    assert (await edge.carrier.reinvites(body=plain)).status == 200
    began = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ, since=began)
    assert edge.agent_audio.hears(CALLER_HZ, since=began)
    await edge.carrier.hangs_up()
    assert (await edge.over()).steps[-1] == "audio not protected: caller takes no SRTP"
    await edge.assert_clean()


async def test_no_key_is_logged_or_recorded(new_edge: NewEdge) -> None:
    async with new_edge(number=a_secure_number(REQUIRE)) as edge:
        with capture_logs() as logs:
            offer = an_offer(edge)
            await all_hear(edge, offer)
        told = json.dumps(edge.records[0].as_dict(), default=repr) + repr(logs) + repr(edge.records[0])
        keys = [key(offer), *(key(each.body) for each in offers(edge))]
        assert all(len(each) == 40 for each in keys)
        assert not any(each in told for each in keys)
        protections = [each for each in logs if each["event"] == "audio protected"]
        assert [(each["leg"], each["suite"]) for each in protections] == [("caller", USUAL), ("agent", USUAL)]


def key(body: bytes) -> str:
    """The first key in an SDP."""
    return body.partition(b"inline:")[2].partition(b"\r")[0].decode()
