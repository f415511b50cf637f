"""A peer's INVITE: provisional, accepted, refused, cancelled (RFC 3261 §9.2, §13.3)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.transport.flow import Target
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.kit.network import MemoryStream, MemoryUdp
from tests.ua.house import Far, House, within

INVITE = messages.invite()


async def test_an_invite_is_tried_rung_and_answered(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.progress(180)
    leg.progress(183)
    answering = asyncio.ensure_future(leg.answer())
    trying, ringing = await house.far.hears(100), await house.far.hears(180)
    again, response = await house.far.hears(183), await house.far.hears(200)
    assert trying.to_tag is None
    assert ringing.to_tag == again.to_tag == response.to_tag == "tag1"
    assert ringing.headers.get("Contact") == "<sip:token1@sbc.example.com:5060>"
    assert (response.content_type, response.body) == ("application/sdp", SDP)
    assert "REFER" not in response.headers.get("Allow")
    await house.far.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.told == [("accept", SDP)]


async def test_a_long_ringing_is_told_anew_every_minute_rfc3261_13_3_1_1(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.progress(180)
    await asyncio.sleep(50)
    leg.progress(183)
    await asyncio.sleep(125)
    assert house.far.count(180) == 1
    assert house.far.times(183) == [0, 60.0, 120.0]
    leg.end(EndReason.NO_ANSWER)
    await house.far.hears(480)
    await house.far.says(messages.within(INVITE, "ACK", to_tag="tag1", branch=INVITE.via.branch or ""))
    await house.assert_clean()
    assert house.far.count(183) == 3


async def test_an_early_183_has_our_answer_and_so_have_its_repetition_and_the_200_rfc3261_13_2_1(
    house: House,
) -> None:
    leg = await house.rung(INVITE)
    leg.progress(183, early=True)
    early = await house.far.hears(183)
    assert (early.content_type, early.body) == ("application/sdp", SDP)
    assert (await house.far.hears(183, within_s=61)).body == SDP
    answering = asyncio.ensure_future(leg.answer())
    assert (await house.far.hears(200)).body == SDP
    await house.far.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.told == [("accept", SDP)]


async def test_the_200_is_resent_until_the_ack_rfc3261_13_3_1_4(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(4)
    await house.far.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    await asyncio.sleep(20)
    assert house.far.times(200) == [0, 0.5, 1.5, 3.5]


async def test_a_200_over_tls_is_resent_too_and_an_ack_of_another_number_is_not_its_ack(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    invite = messages.invite(transport="TLS", contact="<sip:alice@192.0.2.7:5061;transport=tls>")
    leg = await house.rung(invite, far)
    answering = asyncio.ensure_future(leg.answer())
    await far.hears(200)
    await far.says(within(invite, "ACK", messages.ok(invite, to_tag="tag1"), 7))
    await asyncio.sleep(1)
    assert far.times(200) == [0, 0.5]
    await far.says(messages.ack(invite, to_tag="tag1"))
    await answering


async def test_a_200_never_acknowledged_ends_in_bye_after_64_t1_rfc3261_13_3_1_4(house: House) -> None:
    leg = await house.rung(INVITE)
    began = house.now
    with pytest.raises(LegEnded) as end:
        await leg.answer()
    assert end.value.reason is EndReason.NO_ACK
    assert house.now - began == pytest.approx(32.0)
    bye = await house.far.hears("BYE")
    assert house.far.times(200) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    house.far.answers(bye, 200)
    await house.assert_clean()


async def test_our_bye_waits_for_the_ack_rfc3261_15(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await house.far.hears(200)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(1)
    assert house.far.count("BYE") == 0
    assert house.far.times(200) == [0, 0.5]
    await house.far.says(messages.ack(INVITE, to_tag="tag1"))
    with pytest.raises(LegEnded):
        await answering
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_our_bye_waits_no_longer_than_for_the_ack(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    await house.far.hears(200)
    leg.end(EndReason.COMPLETED)
    began = house.now
    bye = await house.far.hears("BYE")
    assert house.now - began == pytest.approx(32.0, abs=0.01)
    house.far.answers(bye, 200)
    with pytest.raises(LegEnded):
        await answering
    assert leg.ended.result() is EndReason.COMPLETED
    await house.assert_clean()


async def test_a_bye_instead_of_the_ack_ends_the_leg(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await house.far.hears(200)
    leg.end(EndReason.COMPLETED)
    await house.far.says(messages.bye(INVITE, to_tag=response.to_tag))
    with pytest.raises(LegEnded):
        await answering
    await house.assert_clean()
    assert (house.far.count("BYE"), house.far.count(200)) == (0, 2)


async def test_a_cancelled_wait_for_the_ack_does_not_lose_the_ack(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await house.far.hears(200)
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    await house.far.says(messages.ack(INVITE, to_tag=response.to_tag))
    await asyncio.sleep(40)
    assert house.far.count(200) == 1
    assert not leg.ended.done()


async def test_an_ack_on_the_branch_of_its_invite_is_taken_rfc6026_7_1(house: House) -> None:
    leg = await house.rung(INVITE)
    answering = asyncio.ensure_future(leg.answer())
    response = await house.far.hears(200)
    await house.far.says(messages.ack(INVITE, to_tag=response.to_tag, branch=INVITE.via.branch or ""))
    await answering
    await asyncio.sleep(5)
    assert house.far.count(200) == 1


async def test_an_invite_without_an_offer_is_answered_with_ours_rfc3261_13_2_1(house: House) -> None:
    invite = messages.invite(body=b"")
    leg = await house.rung(invite)
    answering = asyncio.ensure_future(leg.answer())
    response = await house.far.hears(200)
    assert response.body == SDP
    await house.far.says(within(invite, "ACK", response, 1, body=SDP))
    await answering
    assert leg.media.told == [("offer", b""), ("answered", SDP)]


async def test_an_answer_in_the_ack_that_cannot_be_used_ends_the_leg(house: House) -> None:
    invite = messages.invite(body=b"")
    leg = await house.rung(invite)
    answering = asyncio.ensure_future(leg.answer())
    response = await house.far.hears(200)
    leg.media.refuses = 488
    await house.far.says(messages.ack(invite, to_tag=response.to_tag))
    with pytest.raises(LegEnded) as end:
        await answering
    assert end.value.reason is EndReason.MEDIA_REFUSED
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_an_offer_that_cannot_be_used_is_told_before_anything_is_said(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        leg.prepare_sdp()
    leg.end(EndReason.OVERLOADED, (("Retry-After", "30"),))
    response = await house.far.hears(503)
    assert (response.headers.get("Retry-After"), "cause=34" in response.headers.get("Reason")) == ("30", True)
    await house.far.says(
        messages.within(INVITE, "ACK", to_tag="tag1", branch=INVITE.via.branch or "", cseq=1)
    )
    leg.progress(180)
    await house.assert_clean()
    assert house.far.count(180) == 0


async def test_cancel_is_answered_and_the_invite_by_487_with_the_same_tag_rfc3261_9_2(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.progress(180)
    cancel = messages.cancel(INVITE)
    cancel.headers.add("Reason", 'SIP;cause=200;text="Call completed elsewhere"')
    await house.far.says(cancel)
    ok, terminated = await house.far.hears(200), await house.far.hears(487)
    assert leg.peer_reason == "SIP;cause=200"
    assert (ok.cseq.method, terminated.cseq.method) == ("CANCEL", "INVITE")
    assert ok.to_tag == terminated.to_tag == "tag1"
    assert leg.ended.result() is EndReason.CANCELLED
    with pytest.raises(LegEnded):
        await leg.answer()
    await house.assert_clean()


async def test_a_cancel_that_comes_before_anybody_took_the_invite_is_not_lost(house: House) -> None:
    await house.far.says(INVITE)
    await house.far.says(messages.cancel(INVITE))
    await house.far.hears(200)
    leg = house.leg()
    leg.invited(await house.invited())
    assert leg.ended.result() is EndReason.CANCELLED
    await house.far.hears(487)
    await house.assert_clean()


async def test_a_connection_lost_before_anybody_took_the_invite_ends_the_leg(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    await far.says(messages.invite(transport="TCP"))
    transaction = await house.invited()
    far.network.listening.clear()
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(1)
    leg = house.leg()
    leg.invited(transaction)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await house.assert_clean()


async def test_a_connection_lost_while_ringing_ends_the_leg_of_a_caller_who_is_gone(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    leg = await house.rung(messages.invite(transport="TCP"), far)
    leg.progress(180)
    await far.hears(180)
    house.wire.silence("192.0.2.7")
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(3.9)
    assert not leg.ended.done()
    await asyncio.sleep(0.2)
    assert leg.ended.result() is EndReason.UNREACHABLE
    leg.end(EndReason.COMPLETED)
    await house.assert_clean()


async def test_a_connection_lost_while_ringing_costs_nothing_where_the_caller_listens_rfc3261_18_2_2(
    house: House,
) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    invite = messages.invite(transport="TCP", contact="<sip:alice@192.0.2.7;transport=tcp>")
    leg = await house.rung(invite, far)
    leg.progress(180)
    await far.hears(180)
    house.wire.cut(house.wire.flows()[0])
    leg.progress(183)  # said while the way back is made
    await far.hears(183)
    answering = asyncio.ensure_future(leg.answer())
    ok = await far.hears(200)
    [back] = house.wire.flows()
    assert back.remote == ("192.0.2.7", 5060)
    await far.says(messages.ack(invite, to_tag=ok.to_tag))
    await answering
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_way_back_is_made_once_lest_a_place_that_drops_connections_cause_a_storm(
    house: House,
) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    leg = await house.rung(messages.invite(transport="TCP"), far)
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(1)
    [back] = house.wire.flows()
    assert not leg.ended.done()
    house.wire.cut(back)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await asyncio.sleep(1)
    assert house.wire.flows() == []
    await house.assert_clean()


async def test_a_way_back_that_breaks_at_once_ends_the_leg(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    leg = await house.rung(messages.invite(transport="TCP"), far)
    connect = house.network.connect

    async def dead(target: Target) -> MemoryStream | MemoryUdp:
        flow = await connect(target)
        flow.close()
        return flow

    house.network.connect = dead  # type: ignore[method-assign]
    house.wire.cut(house.wire.flows()[0])
    leg.progress(180)
    await asyncio.sleep(1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await house.assert_clean()


async def test_a_connection_lost_after_the_answer_leaves_the_leg_up(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    invite = messages.invite(transport="TCP", contact="<sip:alice@192.0.2.7;transport=tcp>")
    leg, _ = await house.called(invite, far)
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()


async def test_cancel_after_the_200_changes_nothing_rfc3261_9_2(house: House) -> None:
    leg, _ = await house.called(INVITE)
    await house.far.says(messages.cancel(INVITE))
    await house.far.hears(200)
    await asyncio.sleep(1)
    assert not leg.ended.done()
    assert house.far.count(487) == 0


async def test_a_bye_before_our_final_response_gets_200_and_the_invite_487_rfc3261_15_1_2(
    house: House,
) -> None:
    leg = await house.rung(INVITE)
    leg.progress(180)
    ringing = await house.far.hears(180)
    await house.far.says(messages.bye(INVITE, to_tag=ringing.to_tag))
    ok, terminated = await house.far.hears(200), await house.far.hears(487)
    assert (ok.cseq.method, terminated.cseq.method) == ("BYE", "INVITE")
    assert leg.ended.result() is EndReason.HUNG_UP
    await house.assert_clean()


async def test_a_refused_session_interval_is_422_with_min_se_rfc4028_9(house: House) -> None:
    invite = messages.invite(headers=[("Supported", "timer"), ("Session-Expires", "60")])
    leg = await house.rung(invite)
    assert (await house.far.hears(422)).headers.get("Min-SE") == "90"
    assert leg.ended.result() is EndReason.INTERVAL_TOO_SMALL
    await house.assert_clean()


async def test_a_session_interval_that_cannot_be_read_is_400(house: House) -> None:
    leg = await house.rung(messages.invite(headers=[("Session-Expires", "soon")]))
    await house.far.hears(400)
    assert leg.ended.result() is EndReason.REJECTED
    await house.assert_clean()


async def test_numbers_used_in_the_early_dialog_count_after_the_answer_rfc3261_12_2_2(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.progress(180)
    ringing = await house.far.hears(180)
    await house.far.says(within(INVITE, "OPTIONS", ringing, 9))
    await house.far.hears(200)
    answering = asyncio.ensure_future(leg.answer())
    await house.far.hears(200)
    await house.far.says(messages.ack(INVITE, to_tag=ringing.to_tag))
    await answering
    await house.far.says(within(INVITE, "OPTIONS", ringing, 8))
    await house.far.hears(500)


async def test_the_answer_of_a_considered_offer_is_given_once(house: House) -> None:
    leg = await house.rung(INVITE)
    leg.prepare_sdp()
    answering = asyncio.ensure_future(leg.answer())
    await house.far.hears(200)
    await house.far.says(messages.ack(INVITE, to_tag="tag1"))
    await answering
    assert leg.media.told == [("accept", SDP)]


@pytest.mark.parametrize("route", ["garbage", "<sip:a@b>, <", "<sip:proxy;lr>, <sip:\udcff;lr>"])
async def test_an_invite_whose_way_back_cannot_be_read_is_400_rfc3261_12_1_1(
    house: House, route: str
) -> None:
    invite = messages.invite()
    invite.headers.add("Record-Route", route)
    leg = await house.rung(invite)
    await house.far.hears(400)
    assert leg.ended.result() is EndReason.REJECTED
    await house.far.says(messages.ack(invite, to_tag="tag1"))
