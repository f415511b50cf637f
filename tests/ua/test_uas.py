"""The UAS side of an INVITE: provisional responses, answer, refusal, CANCEL (RFC 3261 §9.2, §13.3)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.transport.flow import Target
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.kit.network import MemoryStream, MemoryUdp
from tests.ua.user_agent import Peer, UserAgent, from_caller

INVITE = messages.invite()


async def test_an_invite_gets_100_180_183_and_200_with_the_same_to_tag(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(180)
    leg.progress(183)
    answering = asyncio.ensure_future(leg.answer())
    trying, ringing = await ua.peer.hears(100), await ua.peer.hears(180)
    again, response = await ua.peer.hears(183), await ua.peer.hears(200)
    assert trying.to_tag is None
    assert ringing.to_tag == again.to_tag == response.to_tag == "tag1"
    assert ringing.headers.get("Contact") == "<sip:token1@sbc.example.com:5060>"
    assert (response.content_type, response.body) == ("application/sdp", SDP)
    assert "REFER" not in response.headers.get("Allow")
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.calls == [("accept", SDP)]


async def test_the_last_provisional_is_repeated_every_minute_rfc3261_13_3_1_1(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(180)
    await asyncio.sleep(50)
    leg.progress(183)
    await asyncio.sleep(125)
    assert ua.peer.count(180) == 1
    assert ua.peer.times(183) == [0, 60.0, 120.0]
    leg.end(EndReason.NO_ANSWER)
    await ua.peer.hears(480)
    await ua.peer.says(messages.within(INVITE, "ACK", to_tag="tag1", branch=INVITE.via.branch or ""))
    await ua.assert_clean()
    assert ua.peer.count(183) == 3


async def test_an_early_183_its_repetitions_and_the_200_have_our_answer_rfc3261_13_2_1(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(183, early=True)
    early = await ua.peer.hears(183)
    assert (early.content_type, early.body) == ("application/sdp", SDP)
    assert (await ua.peer.hears(183, within_s=61)).body == SDP
    answering = asyncio.ensure_future(leg.answer())
    assert (await ua.peer.hears(200)).body == SDP
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.calls == [("accept", SDP)]


async def test_the_200_is_retransmitted_until_the_ack_rfc3261_13_3_1_4(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(4)
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    await asyncio.sleep(20)
    assert ua.peer.times(200) == [0, 0.5, 1.5, 3.5]


async def test_a_200_over_tls_is_retransmitted_until_an_ack_with_its_cseq_number(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    invite = messages.invite(transport="TLS", contact="<sip:alice@192.0.2.7:5061;transport=tls>")
    leg = await ua.ringing_leg(invite, peer)
    answering = asyncio.ensure_future(leg.answer())
    await peer.hears(200)
    await peer.says(from_caller(invite, "ACK", messages.ok(invite, to_tag="tag1"), 7))
    await asyncio.sleep(1)
    assert peer.times(200) == [0, 0.5]
    await peer.says(messages.ack(invite, to_tag="tag1"))
    await answering


async def test_an_unacknowledged_200_ends_with_bye_after_64_t1_rfc3261_13_3_1_4(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    began = ua.now
    with pytest.raises(LegEnded) as end:
        await leg.answer()
    assert end.value.reason is EndReason.NO_ACK
    assert ua.now - began == pytest.approx(32.0)
    bye = await ua.peer.hears("BYE")
    assert ua.peer.times(200) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_our_bye_waits_for_the_ack_to_our_200_rfc3261_15(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await ua.peer.hears(200)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(1)
    assert ua.peer.count("BYE") == 0
    assert ua.peer.times(200) == [0, 0.5]
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1"))
    with pytest.raises(LegEnded):
        await answering
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_our_bye_is_sent_after_64_t1_without_an_ack(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await ua.peer.hears(200)
    leg.end(EndReason.COMPLETED)
    began = ua.now
    bye = await ua.peer.hears("BYE")
    assert ua.now - began == pytest.approx(32.0, abs=0.01)
    ua.peer.answers(bye, 200)
    with pytest.raises(LegEnded):
        await answering
    assert leg.ended.result() is EndReason.COMPLETED
    await ua.assert_clean()


async def test_a_bye_instead_of_the_ack_ends_the_leg_without_a_bye_of_ours(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await ua.peer.hears(200)
    leg.end(EndReason.COMPLETED)
    await ua.peer.says(messages.bye(INVITE, to_tag=response.to_tag))
    with pytest.raises(LegEnded):
        await answering
    await ua.assert_clean()
    assert (ua.peer.count("BYE"), ua.peer.count(200)) == (0, 2)


async def test_cancelling_the_wait_for_the_ack_does_not_lose_the_ack(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await ua.peer.hears(200)
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    await ua.peer.says(messages.ack(INVITE, to_tag=response.to_tag))
    await asyncio.sleep(40)
    assert ua.peer.count(200) == 1
    assert not leg.ended.done()


async def test_an_ack_with_the_branch_of_its_invite_is_accepted_rfc6026_7_1(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await ua.peer.hears(200)
    await ua.peer.says(messages.ack(INVITE, to_tag=response.to_tag, branch=INVITE.via.branch or ""))
    await answering
    await asyncio.sleep(5)
    assert ua.peer.count(200) == 1


async def test_an_invite_without_an_offer_gets_ours_in_the_200_rfc3261_13_2_1(ua: UserAgent) -> None:
    invite = messages.invite(body=b"")
    leg = await ua.ringing_leg(invite)
    answering = asyncio.ensure_future(leg.answer())
    response = await ua.peer.hears(200)
    assert response.body == SDP
    await ua.peer.says(from_caller(invite, "ACK", response, 1, body=SDP))
    await answering
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]


async def test_an_unusable_answer_in_the_ack_ends_the_leg(ua: UserAgent) -> None:
    invite = messages.invite(body=b"")
    leg = await ua.ringing_leg(invite)
    answering = asyncio.ensure_future(leg.answer())
    response = await ua.peer.hears(200)
    leg.media.refuses = 488
    await ua.peer.says(messages.ack(invite, to_tag=response.to_tag))
    with pytest.raises(LegEnded) as end:
        await answering
    assert end.value.reason is EndReason.MEDIA_REFUSED
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_unusable_offer_is_raised_before_any_response(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        leg.prepare_sdp()
    leg.end(EndReason.OVERLOADED, (("Retry-After", "30"),))
    response = await ua.peer.hears(503)
    assert (response.headers.get("Retry-After"), "cause=34" in response.headers.get("Reason")) == ("30", True)
    await ua.peer.says(messages.within(INVITE, "ACK", to_tag="tag1", branch=INVITE.via.branch or "", cseq=1))
    leg.progress(180)
    await ua.assert_clean()
    assert ua.peer.count(180) == 0


async def test_a_cancel_gets_200_and_the_invite_487_with_the_same_to_tag_rfc3261_9_2(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(180)
    cancel = messages.cancel(INVITE)
    cancel.headers.add("Reason", 'SIP;cause=200;text="Call completed elsewhere"')
    await ua.peer.says(cancel)
    ok, terminated = await ua.peer.hears(200), await ua.peer.hears(487)
    assert leg.peer_reason == "SIP;cause=200"
    assert (ok.cseq.method, terminated.cseq.method) == ("CANCEL", "INVITE")
    assert ok.to_tag == terminated.to_tag == "tag1"
    assert leg.ended.result() is EndReason.CANCELLED
    with pytest.raises(LegEnded):
        await leg.answer()
    await ua.assert_clean()


async def test_a_cancel_before_a_leg_takes_the_invite_ends_that_leg(ua: UserAgent) -> None:
    await ua.peer.says(INVITE)
    await ua.peer.says(messages.cancel(INVITE))
    await ua.peer.hears(200)
    leg = ua.leg()
    leg.invited(await ua.invited())
    assert leg.ended.result() is EndReason.CANCELLED
    await ua.peer.hears(487)
    await ua.assert_clean()


async def test_a_connection_lost_before_a_leg_takes_the_invite_ends_that_leg(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    await peer.says(messages.invite(transport="TCP"))
    transaction = await ua.invited()
    peer.network.listening.clear()
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(1)
    leg = ua.leg()
    leg.invited(transaction)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await ua.assert_clean()


async def test_a_connection_lost_while_ringing_ends_the_leg_if_the_caller_is_unreachable(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    leg = await ua.ringing_leg(messages.invite(transport="TCP"), peer)
    leg.progress(180)
    await peer.hears(180)
    ua.wire.silence("192.0.2.7")
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(3.9)
    assert not leg.ended.done()
    await asyncio.sleep(0.2)
    assert leg.ended.result() is EndReason.UNREACHABLE
    leg.end(EndReason.COMPLETED)
    await ua.assert_clean()


async def test_a_connection_lost_while_ringing_is_replaced_if_the_caller_is_reachable_rfc3261_18_2_2(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    invite = messages.invite(transport="TCP", contact="<sip:alice@192.0.2.7;transport=tcp>")
    leg = await ua.ringing_leg(invite, peer)
    leg.progress(180)
    await peer.hears(180)
    ua.wire.cut(ua.wire.flows()[0])
    leg.progress(183)  # sent while the new connection is being opened
    await peer.hears(183)
    answering = asyncio.ensure_future(leg.answer())
    ok = await peer.hears(200)
    [back] = ua.wire.flows()
    assert back.remote == ("192.0.2.7", 5060)
    await peer.says(messages.ack(invite, to_tag=ok.to_tag))
    await answering
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_lost_connection_for_responses_is_replaced_only_once(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    leg = await ua.ringing_leg(messages.invite(transport="TCP"), peer)
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(1)
    [back] = ua.wire.flows()
    assert not leg.ended.done()
    ua.wire.cut(back)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await asyncio.sleep(1)
    assert ua.wire.flows() == []
    await ua.assert_clean()


async def test_a_replacement_connection_that_closes_at_once_ends_the_leg(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    leg = await ua.ringing_leg(messages.invite(transport="TCP"), peer)
    connect = ua.network.connect

    async def connect_and_close(target: Target) -> MemoryStream | MemoryUdp:
        flow = await connect(target)
        flow.close()
        return flow

    ua.network.connect = connect_and_close  # type: ignore[method-assign]
    ua.wire.cut(ua.wire.flows()[0])
    leg.progress(180)
    await asyncio.sleep(1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await ua.assert_clean()


async def test_a_connection_lost_after_the_200_leaves_the_leg_up(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    invite = messages.invite(transport="TCP", contact="<sip:alice@192.0.2.7;transport=tcp>")
    leg, _ = await ua.answered_leg(invite, peer)
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_cancel_after_the_200_changes_nothing_rfc3261_9_2(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg(INVITE)
    await ua.peer.says(messages.cancel(INVITE))
    await ua.peer.hears(200)
    await asyncio.sleep(1)
    assert not leg.ended.done()
    assert ua.peer.count(487) == 0


async def test_a_bye_in_the_early_dialog_gets_200_and_the_invite_487_rfc3261_15_1_2(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(180)
    ringing = await ua.peer.hears(180)
    await ua.peer.says(messages.bye(INVITE, to_tag=ringing.to_tag))
    ok, terminated = await ua.peer.hears(200), await ua.peer.hears(487)
    assert (ok.cseq.method, terminated.cseq.method) == ("BYE", "INVITE")
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()


async def test_too_small_a_session_expires_gets_422_with_min_se_rfc4028_9(ua: UserAgent) -> None:
    invite = messages.invite(headers=[("Supported", "timer"), ("Session-Expires", "60")])
    leg = await ua.ringing_leg(invite)
    assert (await ua.peer.hears(422)).headers.get("Min-SE") == "90"
    assert leg.ended.result() is EndReason.INTERVAL_TOO_SMALL
    await ua.assert_clean()


async def test_a_malformed_session_expires_gets_400(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(messages.invite(headers=[("Session-Expires", "soon")]))
    await ua.peer.hears(400)
    assert leg.ended.result() is EndReason.REJECTED
    await ua.assert_clean()


async def test_cseq_numbers_of_the_early_dialog_count_after_the_200_rfc3261_12_2_2(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(180)
    ringing = await ua.peer.hears(180)
    await ua.peer.says(from_caller(INVITE, "OPTIONS", ringing, 9))
    await ua.peer.hears(200)
    answering = asyncio.ensure_future(leg.answer())
    await ua.peer.hears(200)
    await ua.peer.says(messages.ack(INVITE, to_tag=ringing.to_tag))
    await answering
    await ua.peer.says(from_caller(INVITE, "OPTIONS", ringing, 8))
    await ua.peer.hears(500)


async def test_an_answer_prepared_before_the_200_is_made_once(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.prepare_sdp()
    answering = asyncio.ensure_future(leg.answer())
    await ua.peer.hears(200)
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.calls == [("accept", SDP)]


@pytest.mark.parametrize("route", ["garbage", "<sip:a@b>, <", "<sip:proxy;lr>, <sip:\udcff;lr>"])
async def test_a_malformed_record_route_gets_400_rfc3261_12_1_1(ua: UserAgent, route: str) -> None:
    invite = messages.invite()
    invite.headers.add("Record-Route", route)
    leg = await ua.ringing_leg(invite)
    await ua.peer.hears(400)
    assert leg.ended.result() is EndReason.REJECTED
    await ua.peer.says(messages.ack(invite, to_tag="tag1"))
