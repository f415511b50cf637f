"""Direct media: peers exchange audio themselves, the caller is moved by re-INVITE (RFC 3725 §4.1)."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from dataclasses import replace

import pytest

from proxy.call.direct_signalling import GLARE_S, PATIENCE_S
from proxy.call.outcome import Result
from proxy.lab.audio import AGENT_HZ, BEEP_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ, SPEECH_HZ
from proxy.lab.expect import is_what
from proxy.lab.message_templates import PHONE_SDP, SIGNALWIRE_SDP, sdp
from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import directed, moved_to, revised
from proxy.media.sdes import SrtpPolicy
from proxy.media.tones import beep
from proxy.sip.message import Request
from proxy.sip.transaction_key import server_key
from screening.contract import Connect, News, Ring, TakeMessage
from tests.call.test_call_recording import tape, tones
from tests.call.test_whisper import Voice, asking
from tests.kit.edge import EDGE, PHONE_NUMBER, Edge, NewEdge, a_number, summary
from tests.kit.races import our_leg

SECRETS = (b"FreeSWITCH", b"1759790112", b"phone 4711", b"s=OAI", b"1759803327")
"""What identifies a peer's equipment or session in its SDP, and must not cross."""
KEY = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


@pytest.fixture
def mode() -> str:
    return "direct"


def descriptions(peer: Peer) -> list[bytes]:
    """The session descriptions that the edge sent to a peer, in order."""
    heard = [each.message.body for each in peer.trace if each.direction == "<"]
    return [body for body in heard if body.startswith(b"v=0")]


def asked(peer: Peer | PeerCall, what: str | int) -> list[Request]:
    """The edge's requests with this method, or responses with this status, in order."""
    found = [each.message for each in peer.trace if each.direction == "<" and is_what(each.message, what)]
    return found  # type: ignore[return-value]


def origin(body: bytes) -> list[str]:
    return body.decode().split("\r\n")[1].split()


def home(peer: Peer) -> bytes:
    """The address and port for a peer's audio, as they appear in SDP."""
    assert peer.audio is not None
    host, port = peer.audio.address  # type: ignore[attr-defined]
    return f"c=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} ".encode()


async def refers(edge: Edge) -> None:
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")


async def talk(edge: Edge, one: Peer, other: Peer) -> None:
    """Assert that the two hear each other, with no port of ours in between."""
    began = edge.now
    await edge.time_passes(1)
    assert one.audio.hears(other.audio.frequency_hz, since=began)
    assert other.audio.hears(one.audio.frequency_hz, since=began)
    assert edge.ports.lent == 0


async def ends_well(edge: Edge) -> None:
    await edge.carrier.hangs_up()
    assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    await edge.assert_clean()


async def test_direct_media_uses_no_port_of_ours_and_connects_the_phone_by_flow_i_rfc3725_4_1(
    edge: Edge,
) -> None:
    await edge.connects()
    await talk(edge, edge.carrier, edge.agent)
    await refers(edge)
    phone = await edge.phone.rings()
    assert phone.invite.body == b""
    assert "Content-Type" not in phone.invite.headers
    await talk(edge, edge.carrier, edge.agent)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    [reinvite] = asked(edge.carrier, "INVITE")
    [ack] = asked(edge.phone, "ACK")[1:] or asked(edge.phone, "ACK")
    assert home(edge.phone) in reinvite.body
    assert home(edge.carrier) in ack.body
    assert ack.headers.get("Content-Type") == "application/sdp"
    await talk(edge, edge.carrier, edge.phone)
    peers = (edge.caller_audio, edge.agent_audio, edge.phone_audio)
    held = {(host, rtp + way) for host, rtp in (each.address for each in peers) for way in (0, 1)}
    assert edge.media.open.keys() == held  # the peers' RTP and RTCP ports, none of ours
    await ends_well(edge)


async def test_the_callers_audio_has_no_gap_over_60_ms_when_moved_from_agent_to_phone(edge: Edge) -> None:
    await edge.connects()
    began = edge.now - 0.5
    await refers(edge)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.longest_gap_ms(began, edge.now) <= 60
    await ends_well(edge)
    edge.assert_never_silent()


async def test_sdp_sent_to_a_peer_has_an_origin_of_our_own_and_rising_versions_rfc8866_5_2(
    edge: Edge,
) -> None:
    await edge.bridges()
    for peer in edge.peers:
        told = descriptions(peer)
        assert told
        assert len({tuple(origin(each)[:2]) for each in told}) == 1
        versions = [int(origin(each)[2]) for each in told]
        assert versions == sorted(versions)
        assert all(f"IN IP4 {EDGE}".encode() in each.split(b"\r\n")[1] for each in told)
        assert not [word for word in SECRETS for each in told if word in each]
    assert len({origin(descriptions(peer)[0])[1] for peer in edge.peers}) == 3
    before, after = descriptions(edge.carrier)
    assert int(origin(after)[2]) == int(origin(before)[2]) + 1
    await ends_well(edge)


async def test_formats_ptime_and_crypto_keys_are_passed_on_and_unknown_attributes_are_not_rfc4568(
    edge: Edge,
) -> None:
    offer = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio).replace(b"RTP/AVP 0", b"RTP/SAVP 96 0")
    offer += f"a=rtpmap:96 opus/48000/2\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n".encode()
    offer += b"a=x-secret:1\r\na=ssrc:1 cname:me@home\r\na=candidate:1 1 UDP 1 192.0.2.13 9 typ host\r\n"
    await edge.carrier.invites(body=offer)
    await edge.agent.answers()
    await edge.carrier.receives(200)
    [told] = descriptions(edge.agent)
    assert b" RTP/SAVP 96 0 8 101\r\n" in told
    for line in (b"a=rtpmap:96 opus/48000/2", b"a=ptime:20", KEY.encode(), b"a=fmtp:101 0-15", b"a=rtcp:"):
        assert line in told
    for line in (b"x-secret", b"ssrc", b"candidate"):
        assert line not in told
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_the_phone_is_offered_a_known_callers_media_so_that_no_reinvite_is_needed(edge: Edge) -> None:
    edge.screener.planned = Ring("on the list")
    await edge.carrier.invites()
    phone = await edge.phone.answers()
    assert home(edge.carrier) in phone.invite.body
    await edge.carrier.receives(200)
    await talk(edge, edge.carrier, edge.phone)
    assert asked(edge.carrier, "INVITE") == []
    await edge.carrier.hangs_up()
    await edge.assert_clean()


# Moving the caller to the phone, and how that can fail.


async def at_the_switch(edge: Edge) -> Request:
    """The phone has answered, and the caller is about to be moved to it."""
    edge.carrier.auto.discard("INVITE")
    await edge.connects()
    await refers(edge)
    await edge.phone.answers()
    return await edge.carrier.receives("INVITE")


@pytest.mark.parametrize("chance", [0.0, 1.0])
async def test_a_491_to_the_reinvite_that_connects_the_phone_is_retried_after_0_to_2_s_rfc3261_14_1(
    edge: Edge, chance: float
) -> None:
    edge.ids.uniform = lambda low, high: low + chance * (high - low)  # type: ignore[method-assign]
    edge.carrier.responds(await at_the_switch(edge), 491)
    asked_at = edge.now
    edge.carrier.auto.add("INVITE")
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=200)
    assert edge.now - asked_at == pytest.approx(chance * 2.0, abs=0.1)  # the Call-ID is the caller's
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_reinvites_that_cross_while_the_phone_is_connected_both_succeed_on_retry_rfc3261_14_1(
    edge: Edge,
) -> None:
    offer = await at_the_switch(edge)
    caller = edge.carrier.current
    assert (await edge.carrier.reinvites(hold=True)).status == 491
    edge.carrier.responds(offer, 491)
    edge.carrier.auto.add("INVITE")
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert (await edge.carrier.reinvites(hold=True)).status == 200
    assert b"a=sendonly" in descriptions(edge.phone)[-1]
    back = await edge.carrier.reinvites(hold=False)
    assert back.status == 200
    assert home(edge.phone) in back.body
    assert caller is edge.carrier.current
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


@pytest.mark.parametrize("status", [415, 488, 500, 606])
async def test_audio_is_relayed_if_the_caller_refuses_the_phones_offer(edge: Edge, status: int) -> None:
    edge.carrier.responds(await at_the_switch(edge), status)
    offer = await edge.carrier.receives("INVITE")
    assert f"c=IN IP4 {EDGE}".encode() in offer.body
    edge.carrier.responds(offer, 200, sdp=edge.carrier.current.sdp)
    await edge.agent.receives("BYE")
    began = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=began)
    assert edge.phone_audio.hears(CALLER_HZ, since=began)
    assert edge.ports.lent == 2
    await ends_well(edge)


async def test_a_caller_that_refuses_direct_and_relayed_media_keeps_the_agent_and_the_phone_gets_bye(
    edge: Edge,
) -> None:
    edge.carrier.responds(await at_the_switch(edge), 488)
    edge.carrier.responds(await edge.carrier.receives("INVITE"), 488)
    await edge.phone.receives("BYE")
    assert edge.screening.news[-1] is News.PHONE_UNREACHABLE
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=488)
    await edge.time_passes(1)
    await talk(edge, edge.carrier, edge.agent)
    edge.carrier.auto.add("INVITE")
    await refers(edge)
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_an_unanswered_reinvite_to_the_caller_ends_both_legs_with_ack_to_the_phone_rfc3261_12_2_1_2(
    edge: Edge,
) -> None:
    await at_the_switch(edge)
    await edge.phone.receives("BYE")
    [ack] = asked(edge.phone, "ACK")[-1:]
    assert b"\r\nm=audio 0 RTP/AVP" in ack.body, "an answer is owed, and nothing comes of it"
    await edge.carrier.receives("BYE")
    assert (await edge.over()).outcome.result is not Result.BRIDGED
    await edge.assert_clean()


async def test_a_reinvite_without_final_response_is_cancelled_after_20_s_and_audio_relayed_rfc3261_9_1(
    edge: Edge,
) -> None:
    offer = await at_the_switch(edge)
    edge.carrier.responds(offer, 100)
    began = edge.now
    await edge.carrier.receives("CANCEL")
    assert edge.now - began == pytest.approx(GLARE_S + PATIENCE_S, abs=0.1)
    edge.carrier.responds(offer, 487)
    offer = await edge.carrier.receives("INVITE")
    edge.carrier.responds(offer, 200, sdp=edge.carrier.current.sdp)
    await edge.agent.receives("BYE")
    began = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=began)
    await ends_well(edge)
    edge.assert_never_silent()


@pytest.mark.parametrize("who", ["caller", "agent", "phone"])
@pytest.mark.parametrize("wait_s", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.005])
async def test_any_peer_can_hang_up_while_caller_and_phone_are_being_connected(
    edge: Edge, who: str, wait_s: float
) -> None:
    await edge.connects()
    await refers(edge)
    await edge.phone.rings()
    await edge.phone.answers()
    await edge.time_passes(wait_s)
    leaving = dict(zip(("caller", "agent", "phone"), edge.peers, strict=True))[who]
    assert (await leaving.hangs_up()).status in (200, 481)
    await edge.time_passes(1)
    if not edge.carrier.current.over:
        if who == "agent":
            await talk(edge, edge.carrier, edge.phone)
        await edge.carrier.hangs_up()
    await edge.over()
    await edge.assert_clean()


async def test_voicemail_answers_if_the_agent_leaves_and_the_caller_refuses_the_phones_media(
    edge: Edge,
) -> None:
    """Neither peer is left to connect the caller to: a message is taken, through our relay."""
    offer = await at_the_switch(edge)
    await edge.agent.hangs_up()
    edge.carrier.responds(offer, 488)
    edge.carrier.responds(await edge.carrier.receives("INVITE"), 488)
    edge.carrier.responds(await edge.carrier.receives("INVITE"), 200, sdp=edge.carrier.current.sdp)
    await edge.time_passes(5)
    assert edge.caller_audio.hears(BEEP_HZ)
    await edge.carrier.hangs_up()
    assert (await edge.over()).outcome.result is Result.VOICEMAIL
    await edge.assert_clean()


async def test_a_phones_488_to_an_invite_without_offer_leads_to_one_with_our_offer_rfc3261_21_4_26(
    edge: Edge,
) -> None:
    await edge.connects()
    await refers(edge)
    call = await edge.phone.invited()
    edge.phone.call = None
    call.responds(call.invite, 488)
    second = await edge.phone.invited()
    assert second.invite.cseq.number == call.invite.cseq.number + 1 or second is not call
    assert f"c=IN IP4 {EDGE}".encode() in second.invite.body
    second.sdp = moved_to(sdp(PHONE_SDP), edge.phone_audio)
    edge.phone._says(second, 200, second.sdp)
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_an_agent_that_answers_488_to_the_callers_offer_is_called_again_with_our_own(
    edge: Edge,
) -> None:
    offer = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio)
    await edge.carrier.invites(body=offer)
    call = await edge.agent.invited()
    edge.agent.call = None
    call.responds(call.invite, 488)
    await edge.agent.answers()
    assert f"c=IN IP4 {EDGE}".encode() in (await edge.carrier.receives(200)).body
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ)
    assert edge.agent_audio.hears(CALLER_HZ)
    await refers(edge)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_a_phone_that_answers_as_the_ring_limit_ends_gets_ack_and_bye_rfc3261_13_2_2_4(
    edge: Edge,
) -> None:
    edge.wire.delay_s = 0.2
    await edge.connects()
    edge.screening.decides(Connect("a friend"))
    await edge.phone.rings()
    invited = edge.phone.trace[0].at - edge.wire.delay_s
    await edge.time_passes(invited + 24.9 - edge.now)
    await edge.phone.answers()
    await edge.phone.receives("BYE")
    [ack] = asked(edge.phone, "ACK")[-1:]
    assert b"\r\nm=audio 0 RTP/AVP" in ack.body
    await edge.carrier.hangs_up()
    await edge.assert_clean()


# Re-INVITEs of the peers in an established call.


async def test_a_reinvite_with_an_offer_is_passed_on_and_answered_by_the_other_peer_rfc3264_8(
    edge: Edge,
) -> None:
    await edge.bridges()
    caller = edge.carrier.current
    fresh = revised(caller.sdp.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 8 101"), 1)
    answer = await edge.carrier.reinvites(body=fresh)
    assert answer.status == 200
    assert b"RTP/AVP 8 101\r\n" in descriptions(edge.phone)[-1]
    assert len(asked(edge.phone.current, "INVITE")) == 2
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_an_update_is_passed_on_as_a_reinvite_rfc3311_5_2(edge: Edge) -> None:
    await edge.bridges()
    phone = edge.phone.current
    fresh = revised(phone.sdp.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 8 101"), 1)
    phone.sdp = fresh
    answer = await edge.phone.requests("UPDATE", body=fresh)
    assert answer.status == 200
    assert home(edge.carrier) in answer.body
    assert b"RTP/AVP 8 101\r\n" in descriptions(edge.carrier)[-1]
    await ends_well(edge)


async def test_a_reinvite_with_an_unchanged_offer_gets_identical_sdp_and_is_not_passed_on_rfc3264_8(
    edge: Edge,
) -> None:
    await edge.bridges()
    said = descriptions(edge.carrier)[-1]
    before = len(edge.phone.trace)
    for _ in range(3):
        assert (await edge.carrier.reinvites()).body == said
    assert len(edge.phone.trace) == before
    await ends_well(edge)


async def test_our_refresh_to_a_peer_on_hold_is_not_passed_to_the_other_peer_rfc4028_7_4(edge: Edge) -> None:
    await edge.bridges()
    await edge.carrier.reinvites(hold=True)
    before = len(edge.phone.trace)
    await our_leg(edge, "caller").refresh()
    await edge.time_passes(1)
    assert len(edge.phone.trace) == before
    assert (await edge.carrier.reinvites(hold=False)).status == 200
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


@pytest.mark.parametrize("body", [b"", sdp(PHONE_SDP)])
async def test_a_phones_reinvite_before_its_first_offer_is_answered_gets_500_with_retry_after_rfc3311_5_2(
    edge: Edge, body: bytes
) -> None:
    offer = await at_the_switch(edge)
    refused = await edge.phone.requests("INVITE", body=body)
    assert (refused.status, refused.headers.get("Retry-After") is not None) == (500, True)
    edge.carrier.responds(offer, 200, sdp=edge.carrier.current.sdp)
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


@pytest.mark.parametrize(("status", "passed"), [(488, 488), (491, 491), (603, 603), (405, 500), (420, 500)])
async def test_a_reinvite_the_other_peer_refuses_is_refused_and_the_session_is_unchanged_rfc3261_14_2(
    edge: Edge, status: int, passed: int
) -> None:
    await edge.bridges()
    edge.phone.auto.discard("INVITE")
    caller = edge.carrier.current
    fresh = revised(caller.sdp.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18"), 1)
    offering = asyncio.ensure_future(edge.carrier.reinvites(body=fresh))
    edge.phone.responds(await edge.phone.receives("INVITE"), status)
    assert (await offering).status == passed
    await talk(edge, edge.carrier, edge.phone)
    assert (await edge.carrier.reinvites()).status == 200
    await ends_well(edge)


async def test_crossing_reinvites_of_both_peers_get_491_and_the_call_goes_on_rfc3261_14_2(edge: Edge) -> None:
    await edge.bridges()
    edge.wire.delay_s = 0.1
    calls = [edge.carrier.current, edge.phone.current]
    for peer in (edge.carrier, edge.phone):
        peer.auto.discard("INVITE")
    offers = [
        asyncio.ensure_future(call.reinvites(directed(revised(call.sdp, 1), "sendonly"))) for call in calls
    ]
    await edge.time_passes(0.25)
    for call in calls:
        for each in asked(call, "INVITE"):
            if each.to_tag and call._answers[server_key(each)].response is None:
                call.responds(each, 491)
    statuses = [(await offer).status for offer in offers]
    assert 491 in statuses
    edge.carrier.auto.add("INVITE")
    edge.phone.auto.add("INVITE")
    await edge.time_passes(5)
    assert (await edge.carrier.reinvites()).status == 200
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_a_reinvite_without_sdp_gets_the_other_peers_offer_and_its_answer_is_passed_on_rfc3261_14_2(
    edge: Edge,
) -> None:
    await edge.bridges()
    await edge.carrier.reinvites(hold=True)
    call = edge.carrier.current
    call.sdp = directed(revised(call.sdp, 1), "sendrecv")
    offer = await call.requests("INVITE")
    assert home(edge.phone) in offer.body
    assert b"a=sendrecv" in offer.body
    await edge.time_passes(0.1)
    assert b"a=sendrecv" in descriptions(edge.phone)[-1]
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_a_peer_that_hangs_up_while_its_offer_is_passed_on_gets_487_rfc3261_15_1_2(
    edge: Edge,
) -> None:
    await edge.bridges()
    edge.phone.auto.discard("INVITE")
    call = edge.carrier.current
    await call.sends("INVITE", body=directed(revised(call.sdp, 1), "sendonly"))
    await edge.phone.receives("INVITE")
    await edge.carrier.hangs_up()
    await edge.carrier.receives(487)
    await edge.phone.receives("BYE")
    await edge.over()
    await edge.time_passes(1)
    held = asked(edge.phone.current, "INVITE")[-1]
    edge.phone.responds(held, 487)
    await edge.assert_clean()


async def test_a_reinvite_that_the_other_peer_never_answers_is_refused_and_the_call_ends(edge: Edge) -> None:
    await edge.bridges()
    edge.phone.auto.discard("INVITE")
    call = edge.carrier.current
    offering = asyncio.ensure_future(call.reinvites(directed(revised(call.sdp, 1), "sendonly"), within_s=90))
    await edge.phone.receives("INVITE")
    assert (await offering).status in (487, 500)
    await edge.carrier.receives("BYE")
    await edge.over()
    await edge.assert_clean()


@pytest.mark.parametrize("body", [b"nonsense", b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"])
async def test_an_invalid_offer_gets_488_and_is_not_passed_on_rfc3261_13_3_1_3(
    edge: Edge, body: bytes
) -> None:
    await edge.bridges()
    before = len(edge.phone.trace)
    assert (await edge.carrier.reinvites(body=body)).status == 488
    assert len(edge.phone.trace) == before
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_reinvites_between_peers_that_always_change_their_answer_stop_after_a_limit(
    new_edge: NewEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer names a new port, so the other peer must be re-INVITEd, and answers the same way."""
    answers, ports = PeerCall._answer_alone, itertools.count(30000, 2)

    def restless(call: PeerCall, request: Request) -> None:
        if request.method != "INVITE":
            return answers(call, request)
        moved = sdp(PHONE_SDP).replace(b"31000", str(next(ports)).encode())
        call.responds(request, 200, sdp=moved)

    async with new_edge(audio=False) as edge:
        await edge.bridges()
        monkeypatch.setattr(PeerCall, "_answer_alone", restless)
        call = edge.carrier.current
        call.sdp = directed(revised(call.sdp, 1), "sendonly")
        await call.requests("INVITE")
        await edge.time_passes(30)
        assert 5 < len(asked(edge.carrier, "INVITE")) + len(asked(edge.phone.current, "INVITE")) < 25
        await ends_well(edge)
        assert [step for step in edge.record.steps if step.startswith("not switched")]


async def test_dtmf_in_an_info_request_is_passed_on_to_the_other_peer_rfc2976(edge: Edge) -> None:
    await edge.bridges()
    edge.phone.auto.add("INFO")
    told = [("Content-Type", "application/dtmf-relay")]
    key = b"Signal=5\r\nDuration=160\r\n"
    assert (await edge.carrier.requests("INFO", body=key, headers=told)).status == 200
    await edge.time_passes(0.1)
    [info] = asked(edge.phone.current, "INFO")
    assert (info.body, info.headers.get("Content-Type")) == (key, told[0][1])
    await ends_well(edge)


async def test_a_call_and_its_legs_are_freed_without_the_garbage_collector(edge: Edge) -> None:
    gc.disable()
    try:
        await edge.connects()
        edge.screening.decides(Connect("a friend"))
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        [call] = edge.registry.going_on()
        left = [
            weakref.ref(each)
            for each in (
                call,
                call._caller.direct_signalling,
                *(leg for leg, _ in call.legs._by_end.values()),
            )
        ]
        del call
        await edge.carrier.hangs_up()
        await edge.assert_clean()
        assert [each() for each in left if each() is not None] == []
    finally:
        gc.enable()


# Features that need the packets.


async def test_voicemail_is_recorded_through_the_relay(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("nobody is in"))
    await edge.agent.receives("BYE")
    await edge.time_passes(3)
    assert edge.caller_audio.hears(BEEP_HZ)
    assert edge.ports.lent == 1
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, "caller")
    assert record.voicemail_s == pytest.approx(2.6, abs=0.2)
    await edge.assert_clean()


async def test_a_prompt_moves_caller_and_agent_to_the_relay_and_the_phone_is_connected_directly(
    edge: Edge,
) -> None:
    await edge.connects()
    [call] = edge.registry.going_on()
    began = edge.now
    await call.legs.media.play("caller", beep())
    assert edge.caller_audio.hears(BEEP_HZ, since=began)
    began = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.hears(AGENT_HZ, since=began)
    assert edge.agent_audio.hears(CALLER_HZ, since=began)
    assert edge.ports.lent == 2
    await refers(edge)
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await talk(edge, edge.carrier, edge.phone)
    await ends_well(edge)


async def test_a_caller_that_refuses_relayed_media_gets_bye_instead_of_voicemail(edge: Edge) -> None:
    await edge.connects()
    edge.carrier.auto.discard("INVITE")
    edge.screening.decides(TakeMessage("nobody is in"))
    for _ in ("for the message", "for the tone that says that there is none"):
        edge.carrier.responds(await edge.carrier.receives("INVITE"), 488)
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record)[0] is Result.UNANSWERED
    assert [step for step in record.steps if step.startswith("voicemail not possible")]
    await edge.assert_clean()


async def test_a_phone_that_confirms_with_a_key_is_then_connected_to_the_caller_directly(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await edge.connects()
        await refers(edge)
        await edge.phone.answers()
        await edge.time_passes(1)
        assert edge.phone_audio.hears(SPEECH_HZ)
        assert edge.ports.lent == 1
        assert edge.caller_audio.hears(AGENT_HZ, since=edge.now - 0.5)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        assert home(edge.carrier) in descriptions(edge.phone)[-1]
        assert home(edge.phone) in descriptions(edge.carrier)[-1]
        await talk(edge, edge.carrier, edge.phone)
        assert not edge.phone_audio.hears(SPEECH_HZ, since=edge.now - 1)
        await ends_well(edge)


async def test_audio_is_relayed_if_the_phone_refuses_the_reinvite_after_its_key_press(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        edge.phone.auto.discard("INVITE")
        await edge.connects()
        await refers(edge)
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        edge.phone.responds(await edge.phone.receives("INVITE"), 488)
        await edge.agent.receives("BYE")
        began = edge.now
        await edge.time_passes(1)
        assert edge.caller_audio.hears(PHONE_HZ, since=began)
        assert edge.phone_audio.hears(CALLER_HZ, since=began)
        await ends_well(edge)


async def test_a_recorded_call_is_relayed_from_its_start(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(record=True)) as edge:
        await edge.bridges()
        await edge.time_passes(1)
        for peer in edge.peers:
            assert all(f"c=IN IP4 {EDGE}".encode() in each for each in descriptions(peer))
        assert asked(edge.carrier, "INVITE") == []
        await edge.carrier.hangs_up()
        record = await edge.over()
        left, right = tape(record.recording)
        assert tones(left, 0.5) == {CALLER_HZ}
        assert tones(right, record.recording_s - 0.5) == {PHONE_HZ}
        await edge.assert_clean()


async def test_direct_legs_are_not_ended_for_silence_and_have_no_quality_figures(edge: Edge) -> None:
    await edge.bridges()
    edge.caller_audio.stop()
    edge.phone_audio.stop()
    edge.excused_silence = lambda silence: True
    await edge.time_passes(2 * edge.inactivity_s)
    assert not edge.carrier.current.over
    await ends_well(edge)
    assert [each.quality for each in edge.records[0].legs] == [None] * 3
    assert [each.silent for each in edge.records[0].legs] == [None] * 3


async def test_an_agent_that_refuses_srtp_is_called_again_with_rtp_and_the_record_says_so(
    new_edge: NewEdge,
) -> None:
    """The agent is offered the caller's media first, then ours: SRTP by policy, then plain RTP."""
    number = a_number()
    async with new_edge(number=replace(number, agent=replace(number.agent, srtp=SrtpPolicy.OFFER))) as edge:
        offer = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio).replace(b"RTP/AVP", b"RTP/SAVP")
        await edge.carrier.invites(body=offer + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n".encode())
        await edge.agent.rejects(488)
        await edge.agent.rejects(488)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        offered = [b"SAVP" in each.body for each in asked(edge.agent, "INVITE")]
        assert offered == [True, True, False]
        await edge.carrier.hangs_up()
        steps = (await edge.over()).steps
        assert steps[:2] == ["offer refused: agent is called again with another"] * 2
        assert steps[2] == "audio not protected: agent takes no SRTP"
        await edge.assert_clean()


async def test_end_to_end_srtp_is_logged_once_per_leg_and_never_with_a_key(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    offer = moved_to(sdp(SIGNALWIRE_SDP), edge.caller_audio).replace(b"RTP/AVP", b"RTP/SAVP")
    crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n".encode()
    await edge.carrier.invites(body=offer + crypto)
    agent = await edge.agent.invited()
    answer = moved_to(sdp(PHONE_SDP), edge.agent_audio).replace(b"RTP/AVP", b"RTP/SAVP")
    edge.agent.responds(agent.invite, 200, sdp=answer + crypto)
    await edge.carrier.receives(200)
    await edge.carrier.hangs_up()
    await edge.over()
    told = "".join(capsys.readouterr())
    assert told.count("audio protected") == 2
    assert KEY not in told
    await edge.assert_clean()


async def test_a_caller_whose_agent_leaves_hears_our_ringback_and_then_the_phone_directly(edge: Edge) -> None:
    await edge.connects()
    await refers(edge)
    await edge.phone.rings()
    await edge.agent.hangs_up()
    left = edge.now
    await edge.time_passes(3)
    assert edge.caller_audio.hears(RINGBACK_HZ, since=left)
    assert edge.ports.lent == 1
    await edge.phone.answers()
    await edge.time_passes(1)
    await talk(edge, edge.carrier, edge.phone)
    await edge.carrier.hangs_up()
    await edge.over()
    edge.assert_never_silent()
    await edge.assert_clean()


async def test_a_caller_offering_only_g729_gets_488_if_the_agent_is_unavailable(new_edge: NewEdge) -> None:
    """The caller's offer fits only an agent, and the agent is unavailable."""
    async with new_edge() as edge:
        offer = sdp(SIGNALWIRE_SDP).replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18")
        await edge.carrier.invites(body=offer)
        await edge.agent.rejects(480)
        await edge.phone.rejects(480)
        await edge.carrier.receives(488)
        assert summary(await edge.over())[0] is Result.REFUSED
        await edge.assert_clean(faults=False)
