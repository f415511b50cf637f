"""Provisional responses to a peer that requires them to be reliable (RFC 3262 §3, §5)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.message import Request, Response
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.house import Far, House, within

REQUIRED = ("Require", "100rel")
INVITE = messages.invite(headers=[REQUIRED])
LATE = messages.invite(headers=[REQUIRED], body=b"")
OTHER = SDP.replace(b"4000", b"4002")


def prack(
    invite: Request, ringing: Response, number: int = 2, *, rack: str = "", body: bytes = b""
) -> Request:
    rack = rack or f"{ringing.headers.get('RSeq')} 1 INVITE"
    return within(invite, "PRACK", ringing, number, headers=[("RAck", rack)], body=body)


async def rung(house: House, invite: Request = INVITE) -> tuple[Leg, Response]:
    """A leg that rings, and its 180 as the peer has it."""
    leg = await house.rung(invite)
    leg.progress(180)
    return leg, await house.far.hears(180)


async def test_a_required_180_is_resent_until_its_prack_and_the_call_goes_on_rfc3262_3(house: House) -> None:
    leg, ringing = await rung(house)
    assert (ringing.headers.get("Require"), ringing.headers.get("RSeq")) == ("100rel", "1")
    assert "UPDATE" in ringing.headers.get("Allow")
    assert (ringing.body, house.far.all(100)[0].headers.get("RSeq")) == (b"", None)
    await asyncio.sleep(4)
    await house.far.says(prack(INVITE, ringing))
    assert (await house.far.hears(200)).cseq.method == "PRACK"
    await asyncio.sleep(20)
    assert house.far.times(180) == [0, 0.5, 1.5, 3.5]
    answering = asyncio.ensure_future(leg.answer())
    answer = await house.far.hears(200)
    assert (answer.body, answer.to_tag) == (SDP, ringing.to_tag)
    await house.far.says(messages.ack(INVITE, to_tag=answer.to_tag))
    await answering
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_180_never_acknowledged_is_followed_by_504_after_64_t1_rfc3262_3(house: House) -> None:
    leg, _ = await rung(house)
    began = house.now
    refusal = await house.far.hears(504)
    assert house.now - began == pytest.approx(32.0, abs=0.01)
    assert house.far.times(180) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert "cause=102" in refusal.headers.get("Reason")
    assert leg.ended.result() is EndReason.NO_PRACK
    await house.assert_clean()


async def test_a_repeated_prack_is_answered_again_and_another_is_481_rfc3262_3(house: House) -> None:
    _, ringing = await rung(house)
    first = prack(INVITE, ringing)
    for _ in range(2):
        await house.far.says(first)
        await house.far.hears(200)
    await house.far.says(prack(INVITE, ringing, 3))
    await house.far.hears(481)
    await house.far.says(prack(INVITE, ringing, 4, rack="77 1 INVITE"))
    await house.far.hears(481)
    await house.far.says(prack(INVITE, ringing, 5, rack="soon"))
    await house.far.hears(400)


async def test_a_prack_of_no_dialog_and_of_a_leg_without_reliable_ones_is_481(house: House) -> None:
    await house.far.says(messages.request("PRACK", to_tag="nobody", headers=[("RAck", "1 1 INVITE")]))
    await house.far.hears(481)
    _, ours = await house.called()
    await house.far.says(prack(messages.invite(), ours, rack="1 1 INVITE"))
    await house.far.hears(481)


async def test_a_second_one_waits_for_the_prack_of_the_first_rfc3262_3(house: House) -> None:
    leg, ringing = await rung(house)
    leg.progress(183)
    await asyncio.sleep(0.2)
    assert house.far.count(183) == 0
    await house.far.says(prack(INVITE, ringing))
    second = await house.far.hears(183)
    assert second.headers.get("RSeq") == "2"
    await house.far.says(prack(INVITE, second, 3))
    await house.far.hears(200)


async def test_an_early_answer_is_acknowledged_before_the_200_which_says_it_no_more_rfc3262_5(
    house: House,
) -> None:
    leg = await house.rung(INVITE)
    leg.progress(183, early=True)
    early = await house.far.hears(183)
    assert (early.headers.get("RSeq"), early.body) == ("1", SDP)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(0.2)
    assert house.far.count(200) == 0
    await house.far.says(prack(INVITE, early))
    await house.far.hears(200, within_s=1)  # to the PRACK
    answer = await house.far.hears(200, within_s=1)
    assert (answer.cseq.method, answer.body) == ("INVITE", b"")
    await house.far.says(messages.ack(INVITE, to_tag=early.to_tag))
    await answering


async def test_a_long_ringing_is_told_anew_every_two_and_a_half_minutes_rfc3262_3(house: House) -> None:
    leg, ringing = await rung(house)
    began = house.now
    for number in (2, 3):
        await house.far.says(prack(INVITE, ringing, number))
        ringing = await house.far.hears(180, within_s=151)
        assert ringing.headers.get("RSeq") == str(number)
        assert house.now - began == pytest.approx(150.0 * (number - 1), abs=0.01)
    await house.far.says(prack(INVITE, ringing, 4))
    await house.far.says(messages.cancel(INVITE))
    await house.far.hears(487)
    assert leg.ended.result() is EndReason.CANCELLED
    await house.assert_clean(200)


async def test_supported_alone_gets_ordinary_ones_rfc3262_3(house: House) -> None:
    invite = messages.invite(headers=[("Supported", "100rel")])
    _, ringing = await rung(house, invite)
    assert "RSeq" not in ringing.headers
    assert "Require" not in ringing.headers
    await asyncio.sleep(5)
    assert house.far.count(180) == 1


async def test_without_a_description_in_it_the_200_does_not_wait_and_the_prack_is_still_taken_rfc3262_3(
    house: House,
) -> None:
    leg, ringing = await rung(house)
    answering = asyncio.ensure_future(leg.answer())
    answer = await house.far.hears(200)
    await house.far.says(messages.ack(INVITE, to_tag=answer.to_tag))
    await answering
    await house.far.says(prack(INVITE, ringing))
    assert (await house.far.hears(200)).cseq.method == "PRACK"
    assert house.far.count(180) == 1


async def test_after_a_refusal_a_prack_on_its_way_is_taken_rfc3262_3(house: House) -> None:
    leg, ringing = await rung(house)
    leg.end(EndReason.DECLINED)
    await house.far.hears(603)
    await house.far.says(prack(INVITE, ringing, body=OTHER))
    assert (await house.far.hears(200)).cseq.method == "PRACK"
    assert ("accept", OTHER) not in leg.media.told
    await house.assert_clean()


async def test_after_a_cancel_a_prack_that_never_comes_is_not_waited_for(house: House) -> None:
    leg, _ = await rung(house)
    await house.far.says(messages.cancel(INVITE))
    await house.far.hears(487)
    await house.assert_clean()
    assert leg.ended.result() is EndReason.CANCELLED
    assert (house.far.count(180), house.far.count(504)) == (1, 0)


async def test_a_connection_lost_while_a_prack_is_awaited_ends_the_leg_of_a_caller_who_is_gone(
    house: House,
) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    leg = await house.rung(messages.invite(transport="TCP", headers=[REQUIRED]), far)
    leg.progress(180)
    await far.hears(180)
    house.wire.silence("192.0.2.7")
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(4.1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await house.assert_clean(0.1)


async def test_a_house_that_closes_waits_for_no_prack(house: House) -> None:
    await rung(house)
    await house.core.close()
    await house.assert_clean(0)


# Offers and answers


async def test_without_an_offer_ours_is_in_the_180_and_the_answer_in_its_prack_rfc3262_5(
    house: House,
) -> None:
    leg, ringing = await rung(house, LATE)
    assert ringing.body == SDP
    await house.far.says(prack(LATE, ringing, body=OTHER))
    accepted = await house.far.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("PRACK", b"")
    assert leg.media.told == [("offer", b""), ("answered", OTHER)]
    leg.progress(183)
    again = await house.far.hears(183)
    assert again.body == b""
    await house.far.says(prack(LATE, again, 3))
    await house.far.hears(200)
    answering = asyncio.ensure_future(leg.answer())
    answer = await house.far.hears(200)
    assert answer.body == b""
    await house.far.says(within(LATE, "ACK", answer, 1, body=SDP))
    await answering
    assert leg.media.told == [("offer", b""), ("answered", OTHER)]


async def test_the_200_waits_for_the_prack_of_a_180_with_our_offer_rfc3262_3(house: House) -> None:
    leg, ringing = await rung(house, LATE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(2)
    assert house.far.count(200) == 0
    await house.far.says(prack(LATE, ringing, body=SDP))
    assert [(await house.far.hears(200)).cseq.method for _ in range(2)] == ["PRACK", "INVITE"]
    await house.far.says(messages.ack(LATE, to_tag=ringing.to_tag or ""))
    await answering


async def test_a_200_that_waits_for_a_prack_is_never_sent_after_a_cancel(house: House) -> None:
    leg, _ = await rung(house, LATE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(1)
    await house.far.says(messages.cancel(LATE))
    with pytest.raises(LegEnded) as end:
        await answering
    assert end.value.reason is EndReason.CANCELLED
    await house.far.hears(487)
    await house.assert_clean()


async def test_an_answer_in_the_prack_that_cannot_be_used_ends_the_leg_with_488(house: House) -> None:
    leg, ringing = await rung(house, LATE)
    leg.media.refuses = 488
    await house.far.says(prack(LATE, ringing))
    assert (await house.far.hears(200)).cseq.method == "PRACK"
    await house.far.hears(488)
    assert leg.ended.result() is EndReason.MEDIA_REFUSED
    await house.assert_clean()


async def test_an_offer_that_media_cannot_make_for_the_180_is_told(house: House) -> None:
    leg = await house.rung(LATE)
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        leg.progress(180)
    leg.end(EndReason.OVERLOADED)
    await house.far.hears(503)
    await house.assert_clean()


async def test_an_offer_in_a_prack_once_the_first_is_answered_gets_its_answer_in_the_200_rfc3262_5(
    house: House,
) -> None:
    leg, ringing = await rung(house, LATE)
    await house.far.says(prack(LATE, ringing, body=SDP))
    await house.far.hears(200)
    leg.progress(183)
    again = await house.far.hears(183)
    await house.far.says(prack(LATE, again, 3, body=OTHER))
    accepted = await house.far.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("PRACK", SDP)
    assert leg.media.told[-1] == ("accept", OTHER)


async def test_an_offer_in_a_prack_before_the_first_is_answered_is_500_and_acknowledges_rfc3262_5(
    house: House,
) -> None:
    leg, ringing = await rung(house)
    leg.prepare_sdp()
    await house.far.says(prack(INVITE, ringing, body=OTHER))
    refusal = await house.far.hears(500)
    assert refusal.headers.get("Retry-After") == "5"
    assert leg.media.told == [("accept", SDP)]
    await asyncio.sleep(5)
    assert house.far.count(180) == 1


async def test_a_prack_with_a_body_that_is_no_sdp_is_415(house: House) -> None:
    _, ringing = await rung(house, LATE)
    odd = prack(LATE, ringing, body=b"hello")
    odd.headers.set("Content-Type", "text/plain")
    await house.far.says(odd)
    assert (await house.far.hears(415)).headers.get("Accept") == "application/sdp"


# UPDATE in the early dialog (RFC 3311)


async def test_an_update_may_offer_once_the_first_offer_is_answered_rfc3311_5_1(house: House) -> None:
    leg, ringing = await rung(house, LATE)
    await house.far.says(within(LATE, "UPDATE", ringing, 2, body=OTHER))
    await house.far.hears(491)  # ours stands open
    await house.far.says(prack(LATE, ringing, 3, body=SDP))
    await house.far.hears(200)
    await house.far.says(within(LATE, "UPDATE", ringing, 4, body=OTHER))
    accepted = await house.far.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("UPDATE", SDP)
    assert accepted.headers.get("Contact")
    assert leg.media.told[-1] == ("accept", OTHER)


async def test_an_update_without_an_offer_is_taken_at_any_time_rfc3311_5_2(house: House) -> None:
    _, ringing = await rung(house)
    await house.far.says(prack(INVITE, ringing))
    await house.far.hears(200)
    await house.far.says(within(INVITE, "UPDATE", ringing, 3))
    await house.far.hears(200)
    await house.far.says(within(INVITE, "UPDATE", ringing, 4, body=OTHER))
    assert (await house.far.hears(500)).headers.get("Retry-After") == "5"  # their own is not answered
    await house.far.says(within(INVITE, "INVITE", ringing, 5))
    await house.far.hears(500)


async def test_what_a_peer_may_require_is_told_rfc3262_3(house: House) -> None:
    await house.far.says(messages.request("OPTIONS", branch="z9hG4bKoptions", call_id="asks"))
    assert (await house.far.hears(200)).headers.get("Supported") == "timer, norefersub, 100rel"
    leg, ours = await house.called()
    assert ours.headers.get("Supported") == "timer, norefersub"
    await house.far.says(within(messages.invite(), "OPTIONS", ours, 2))
    able = await house.far.hears(200)
    assert able.headers.get("Supported") == "timer, norefersub, 100rel"
    assert "PRACK" in able.headers.get("Allow")
    assert leg.dialog is not None
