"""Offers after the first, in both directions, and their glare (RFC 3261 §14, RFC 3311, RFC 5407 §3.1)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.session import OfferPending
from proxy.ua.errors import LegEnded, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.house import House, ack_back, back, within

INVITE = messages.invite()
OTHER = SDP.replace(b"4000", b"4002")


# The peer's.


async def test_a_reinvite_is_answered_by_media_and_its_200_resent_until_the_ack(house: House) -> None:
    leg, ours = await house.called()
    reinvite = within(INVITE, "INVITE", ours, 2, body=OTHER)
    await house.far.says(reinvite)
    response = await house.far.hears(200)
    assert (response.body, response.headers.get("Contact")) == (SDP, "<sip:token1@sbc.example.com:5060>")
    assert leg.media.told[-1] == ("accept", OTHER)
    await asyncio.sleep(2)
    await house.far.says(within(INVITE, "ACK", ours, 2))
    await asyncio.sleep(20)
    assert house.far.times(200)[1:] == [house.far.times(200)[1] + after for after in (0, 0.5, 1.5)]
    assert (answer := leg.reoffers.answer) is not None
    assert answer.settled().done()


async def test_a_reinvite_never_acknowledged_ends_the_leg(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=OTHER))
    house.far.answers(await house.far.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.NO_ACK
    await house.assert_clean()


async def test_a_reinvite_that_media_refuses_is_488_and_the_session_stays_rfc3261_14_2(house: House) -> None:
    leg, ours = await house.called()
    leg.media.refuses = 488
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=OTHER))
    assert (await house.far.hears(488)).headers.get("Warning") == '399 sbc.example.com "not that"'
    await house.far.says(within(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    leg.media.refuses = None
    await house.far.says(within(INVITE, "INVITE", ours, 3, body=OTHER))
    await house.far.hears(200)
    assert not leg.ended.done()


async def test_a_reinvite_without_sdp_gets_our_offer_and_answers_in_the_ack_rfc3261_14_2(
    house: House,
) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "INVITE", ours, 2))
    assert (await house.far.hears(200)).body == SDP
    await house.far.says(within(INVITE, "ACK", ours, 2, body=OTHER))
    await asyncio.sleep(1)
    assert leg.media.told[-2:] == [("offer", b""), ("answered", OTHER)]
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 200)
    await offering


async def test_an_answer_in_the_ack_that_cannot_be_used_leaves_the_session(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "INVITE", ours, 2))
    await house.far.hears(200)
    leg.media.refuses = 488
    await house.far.says(within(INVITE, "ACK", ours, 2))
    await asyncio.sleep(1)
    assert not leg.ended.done()


async def test_an_offer_in_our_200_stands_open_until_the_ack_rfc5407_3_1_5(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "INVITE", ours, 2))
    await house.far.hears(200)
    await house.far.says(within(INVITE, "UPDATE", ours, 3, body=OTHER))
    await house.far.hears(491)
    await house.far.says(within(INVITE, "INVITE", ours, 4, body=OTHER))
    await house.far.hears(491)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.2)
    assert house.far.count("INVITE") == 0
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_second_reinvite_before_the_ack_of_the_first_is_491(house: House) -> None:
    _, ours = await house.called()
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=OTHER))
    await house.far.hears(200)
    await house.far.says(within(INVITE, "INVITE", ours, 3, body=OTHER))
    await house.far.hears(491)


async def test_a_reinvite_whose_first_ack_was_lost_is_taken_rfc5407_3_1_4(house: House) -> None:
    leg = await house.rung()
    answering = asyncio.ensure_future(leg.answer())
    ours = await house.far.hears(200)
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=OTHER))
    again = await house.far.hears(200)
    assert again.cseq.number == 2
    await house.far.says(within(INVITE, "ACK", ours, 2))
    await house.far.says(messages.ack(INVITE, to_tag=ours.to_tag))
    await answering


async def test_a_reinvite_while_our_first_offer_awaits_its_ack_is_491_rfc5407_3_1_5(house: House) -> None:
    invite = messages.invite(body=b"")
    leg = await house.rung(invite)
    answering = asyncio.ensure_future(leg.answer())
    ours = await house.far.hears(200)
    await house.far.says(within(invite, "INVITE", ours, 2, body=OTHER))
    await house.far.hears(491)
    await house.far.says(within(invite, "ACK", ours, 1, body=SDP))
    await answering


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_an_offer_before_our_first_answer_is_500_with_retry_after_rfc3261_14_2(
    house: House, method: str
) -> None:
    leg = await house.rung()
    leg.progress(180)
    ringing = await house.far.hears(180)
    await house.far.says(within(INVITE, method, ringing, 2, body=OTHER))
    assert (await house.far.hears(500)).headers.get("Retry-After") == "5"
    assert leg.media.told == []


async def test_an_update_is_answered_rfc3311(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "UPDATE", ours, 2, body=OTHER))
    assert (await house.far.hears(200)).body == SDP
    await house.far.says(within(INVITE, "UPDATE", ours, 3))
    response = await house.far.hears(200)
    assert response.body == b""
    assert response.contact is not None
    assert leg.media.told == [("accept", SDP), ("accept", OTHER)]
    leg.media.refuses = 503
    await house.far.says(within(INVITE, "UPDATE", ours, 4, body=OTHER))
    await house.far.hears(503)


# Ours.


async def test_our_offer_is_answered_and_acknowledged(house: House) -> None:
    leg, ours = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    assert (reinvite.cseq.number, reinvite.body, reinvite.to_tag) == (1, SDP, "alice1")
    assert reinvite.from_tag == ours.to_tag
    assert reinvite.headers.get_all("Supported") == ["timer, norefersub"]
    house.far.answers(reinvite, 180)
    house.far.answers(reinvite, 200, body=OTHER)
    await offering
    assert leg.media.told[-2:] == [("offer", b""), ("answered", OTHER)]
    assert (await house.far.hears("ACK")).cseq.number == 1


@pytest.mark.parametrize(("called", "wait_s"), [(True, 1.0), (False, 3.05)])
async def test_glare_is_491_both_ways_and_tried_again_by_who_owns_the_call_id_rfc3261_14_1(
    house: House, called: bool, wait_s: float
) -> None:
    """The middle of 0 to 2 s for whom was called, of 2.1 to 4 s for who called."""
    if called:
        leg, ours = await house.called()
        theirs = within(INVITE, "INVITE", ours, 2, body=OTHER)
    else:
        leg, invite = await house.connected()
        theirs = back(invite, "INVITE", body=OTHER)
    offering = asyncio.ensure_future(leg.offer())
    first = await house.far.hears("INVITE")
    await house.far.says(theirs)
    await house.far.hears(491)
    refused_at = house.now
    house.far.answers(first, 491)
    again = await house.far.hears("INVITE")
    assert house.now - refused_at == pytest.approx(wait_s + 0.002, abs=0.0005)
    assert again.cseq.number > first.cseq.number
    house.far.answers(again, 200)
    await offering
    assert leg.media.told[-1] == ("answered", SDP)


async def test_a_reinvite_without_sdp_while_our_offer_stands_is_491_too(house: House) -> None:
    leg, ours = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    await house.far.says(within(INVITE, "INVITE", ours, 2))
    await house.far.hears(491)
    house.far.answers(reinvite, 200)
    await offering


async def test_a_second_offer_of_ours_has_to_wait(house: House) -> None:
    """A refresh is under way when two legs are joined: the one goes after the other."""
    leg, _ = await house.called()
    refreshing = asyncio.ensure_future(leg.refresh())
    first = await house.far.hears("INVITE")
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.4)
    assert house.far.count("INVITE") == 1
    house.far.answers(first, 200)
    second = await house.far.hears("INVITE")
    assert second.cseq.number == first.cseq.number + 1
    house.far.answers(second, 200)
    await asyncio.gather(refreshing, offering)


async def test_a_second_offer_waits_for_a_first_that_nobody_waits_for_any_more(house: House) -> None:
    leg, _ = await house.called()
    refreshing = asyncio.ensure_future(leg.refresh())
    first = await house.far.hears("INVITE")
    refreshing.cancel()
    await asyncio.gather(refreshing, return_exceptions=True)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.4)
    assert house.far.count("INVITE") == 1
    house.far.answers(first, 486)
    house.far.answers(await house.far.hears("INVITE"), 200)
    await offering


async def test_a_second_offer_ends_with_the_leg_while_it_waits(house: House) -> None:
    leg, _ = await house.called()
    offering = [asyncio.ensure_future(leg.refresh()), asyncio.ensure_future(leg.offer())]
    first = await house.far.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    house.far.answers(first, 200)
    house.far.answers(await house.far.hears("BYE"), 200)
    ended = await asyncio.gather(*offering, return_exceptions=True)
    assert [type(each) for each in ended] == [LegEnded, LegEnded]
    await house.assert_clean()


async def test_an_offer_of_ours_does_not_wait_for_one_of_the_peer(house: House) -> None:
    leg, ours = await house.called()
    leg.media.leaves_open = True
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=OTHER))
    await house.far.hears(100)
    with pytest.raises(OfferPending):
        await leg.offer()


async def test_our_offer_waits_for_the_ack_of_our_last_2xx_rfc3261_14_1(house: House) -> None:
    leg, invite = await house.connected()
    theirs = back(invite, "INVITE", body=OTHER)
    await house.far.says(theirs)
    await house.far.hears(200)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.2)
    assert house.far.count("INVITE") == 1
    await house.far.says(ack_back(invite, theirs))
    house.far.answers(await house.far.hears("INVITE"), 200)
    await offering


async def test_an_offer_that_media_cannot_make_is_not_sent(house: House) -> None:
    leg, _ = await house.called()
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        await leg.offer()
    leg.media.refuses = None
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 200)
    await offering


async def test_an_answer_that_media_cannot_use_is_told_and_the_leg_stays(house: House) -> None:
    leg, _ = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    leg.media.refuses = 488
    house.far.answers(reinvite, 200)
    with pytest.raises(OfferRefused):
        await offering
    assert not leg.ended.done()


async def test_a_refused_offer_leaves_the_session_rfc3261_14_1(house: House) -> None:
    leg, _ = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 488)
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


async def test_a_481_to_our_offer_ends_the_leg_rfc3261_12_2_1_2(house: House) -> None:
    leg, _ = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 481)
    with pytest.raises(Rejected):
        await offering
    assert leg.ended.result() is EndReason.UNREACHABLE
    house.far.answers(await house.far.hears("BYE"), 481)
    await house.assert_clean()


async def test_an_offer_nobody_answers_ends_the_leg_rfc3261_12_2_1_2(house: House) -> None:
    leg, _ = await house.called()
    with pytest.raises(TransactionTimeout):
        await leg.offer()
    assert leg.ended.result() is EndReason.UNREACHABLE
    house.far.answers(await house.far.hears("BYE"), 481)
    await house.assert_clean()


async def test_a_reinvite_crossing_a_bye_ends_with_the_leg_rfc5407_3_2_3(house: House) -> None:
    leg, ours = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    await house.far.says(messages.bye(INVITE, to_tag=ours.to_tag))
    reinvite = await house.far.hears("INVITE")
    with pytest.raises(LegEnded):
        await offering
    house.far.answers(reinvite, 481)
    assert leg.ended.result() is EndReason.HUNG_UP
    await house.assert_clean()


async def test_an_offer_nobody_waits_for_any_more_is_still_seen_through(house: House) -> None:
    leg, invite = await house.connected()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await house.far.hears("INVITE")
    offering.cancel()
    await asyncio.gather(offering, return_exceptions=True)
    await house.far.says(back(invite, "INVITE", body=OTHER))
    await house.far.hears(491)
    house.far.answers(reinvite, 200, body=OTHER)
    await house.far.hears("ACK")
    assert leg.media.told[-1] == ("answered", OTHER)
    await house.far.says(back(invite, "INVITE", 2, body=OTHER))
    await house.far.hears(200)


async def test_a_leg_that_ends_while_a_glare_is_waited_out_offers_no_more(house: House) -> None:
    leg, _ = await house.called()
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 491)
    await asyncio.sleep(0.1)
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    with pytest.raises(LegEnded):
        await offering
    await house.assert_clean()
    assert house.far.count("INVITE") == 1
