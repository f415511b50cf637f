"""Offers after the first, in both directions, and glare (RFC 3261 §14, RFC 3311, RFC 5407 §3.1)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.session import OfferPending
from proxy.ua.errors import LegEnded, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.user_agent import UserAgent, ack_from_callee, from_callee, from_caller

INVITE = messages.invite()
OTHER = SDP.replace(b"4000", b"4002")


# Offers of the peer.


async def test_a_reinvite_gets_a_200_retransmitted_until_its_ack(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    reinvite = from_caller(INVITE, "INVITE", ours, 2, body=OTHER)
    await ua.peer.says(reinvite)
    response = await ua.peer.hears(200)
    assert (response.body, response.headers.get("Contact")) == (SDP, "<sip:token1@sbc.example.com:5060>")
    assert leg.media.calls[-1] == ("accept", OTHER)
    await asyncio.sleep(2)
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2))
    await asyncio.sleep(20)
    assert ua.peer.times(200)[1:] == [ua.peer.times(200)[1] + after for after in (0, 0.5, 1.5)]
    assert (answer := leg.reoffers.answer) is not None
    assert answer.settled().done()


async def test_a_200_to_a_reinvite_without_ack_ends_the_leg(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.NO_ACK
    await ua.assert_clean()


async def test_an_unacceptable_reinvite_gets_488_and_the_session_continues_rfc3261_14_2(
    ua: UserAgent,
) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.refuses = 488
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    assert (await ua.peer.hears(488)).headers.get("Warning") == '399 sbc.example.com "not that"'
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    leg.media.refuses = None
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 3, body=OTHER))
    await ua.peer.hears(200)
    assert not leg.ended.done()


async def test_a_reinvite_without_sdp_gets_our_offer_and_the_ack_has_the_answer_rfc3261_14_2(
    ua: UserAgent,
) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2))
    assert (await ua.peer.hears(200)).body == SDP
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2, body=OTHER))
    await asyncio.sleep(1)
    assert leg.media.calls[-2:] == [("offer", b""), ("answered", OTHER)]
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 200)
    await offering


async def test_an_unusable_answer_in_the_ack_of_a_reinvite_keeps_the_session(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2))
    await ua.peer.hears(200)
    leg.media.refuses = 488
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2))
    await asyncio.sleep(1)
    assert not leg.ended.done()


async def test_while_our_offer_in_a_200_awaits_the_ack_other_offers_get_491_or_wait_rfc5407_3_1_5(
    ua: UserAgent,
) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 3, body=OTHER))
    await ua.peer.hears(491)
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 4, body=OTHER))
    await ua.peer.hears(491)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.2)
    assert ua.peer.count("INVITE") == 0
    leg.end(EndReason.COMPLETED)
    with pytest.raises(LegEnded):
        await offering
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_second_reinvite_before_the_ack_of_the_first_gets_491(ua: UserAgent) -> None:
    _, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 3, body=OTHER))
    await ua.peer.hears(491)


async def test_a_reinvite_is_accepted_although_the_ack_of_the_invite_was_lost_rfc5407_3_1_4(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg()
    answering = asyncio.ensure_future(leg.answer())
    ours = await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    again = await ua.peer.hears(200)
    assert again.cseq.number == 2
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2))
    await ua.peer.says(messages.ack(INVITE, to_tag=ours.to_tag))
    await answering


async def test_a_reinvite_gets_491_while_our_initial_offer_awaits_its_ack_rfc5407_3_1_5(
    ua: UserAgent,
) -> None:
    invite = messages.invite(body=b"")
    leg = await ua.ringing_leg(invite)
    answering = asyncio.ensure_future(leg.answer())
    ours = await ua.peer.hears(200)
    await ua.peer.says(from_caller(invite, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(491)
    await ua.peer.says(from_caller(invite, "ACK", ours, 1, body=SDP))
    await answering


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_an_offer_before_our_first_answer_gets_500_with_retry_after_rfc3261_14_2(
    ua: UserAgent, method: str
) -> None:
    leg = await ua.ringing_leg()
    leg.progress(180)
    ringing = await ua.peer.hears(180)
    await ua.peer.says(from_caller(INVITE, method, ringing, 2, body=OTHER))
    assert (await ua.peer.hears(500)).headers.get("Retry-After") == "5"
    assert leg.media.calls == []


async def test_an_update_with_or_without_an_offer_is_answered_rfc3311(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 2, body=OTHER))
    assert (await ua.peer.hears(200)).body == SDP
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 3))
    response = await ua.peer.hears(200)
    assert response.body == b""
    assert response.contact is not None
    assert leg.media.calls == [("accept", SDP), ("accept", OTHER)]
    leg.media.refuses = 503
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 4, body=OTHER))
    await ua.peer.hears(503)


# Our offers.


async def test_our_reinvite_is_answered_and_acknowledged(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    assert (reinvite.cseq.number, reinvite.body, reinvite.to_tag) == (1, SDP, "alice1")
    assert reinvite.from_tag == ours.to_tag
    assert reinvite.headers.get_all("Supported") == ["timer, norefersub"]
    ua.peer.answers(reinvite, 180)
    ua.peer.answers(reinvite, 200, body=OTHER)
    await offering
    assert leg.media.calls[-2:] == [("offer", b""), ("answered", OTHER)]
    assert (await ua.peer.hears("ACK")).cseq.number == 1


@pytest.mark.parametrize(("called", "wait_s"), [(True, 1.0), (False, 3.05)])
async def test_after_glare_both_sides_get_491_and_we_retry_by_call_id_ownership_rfc3261_14_1(
    ua: UserAgent, called: bool, wait_s: float
) -> None:
    """Mid-range delays: from 0 to 2 s if the peer owns the Call-ID, from 2.1 to 4 s if we do."""
    if called:
        leg, ours = await ua.answered_leg()
        reinvite_of_peer = from_caller(INVITE, "INVITE", ours, 2, body=OTHER)
    else:
        leg, invite = await ua.connected_leg()
        reinvite_of_peer = from_callee(invite, "INVITE", body=OTHER)
    offering = asyncio.ensure_future(leg.offer())
    first = await ua.peer.hears("INVITE")
    await ua.peer.says(reinvite_of_peer)
    await ua.peer.hears(491)
    refused_at = ua.now
    ua.peer.answers(first, 491)
    again = await ua.peer.hears("INVITE")
    assert ua.now - refused_at == pytest.approx(wait_s + 0.002, abs=0.0005)
    assert again.cseq.number > first.cseq.number
    ua.peer.answers(again, 200)
    await offering
    assert leg.media.calls[-1] == ("answered", SDP)


async def test_a_reinvite_without_sdp_gets_491_while_our_offer_is_open(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2))
    await ua.peer.hears(491)
    ua.peer.answers(reinvite, 200)
    await offering


async def test_our_second_offer_waits_for_the_answer_to_our_first(ua: UserAgent) -> None:
    """For instance, a session refresh is in progress when two legs are bridged: one follows the other."""
    leg, _ = await ua.answered_leg()
    refreshing = asyncio.ensure_future(leg.refresh())
    first = await ua.peer.hears("INVITE")
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.4)
    assert ua.peer.count("INVITE") == 1
    ua.peer.answers(first, 200)
    second = await ua.peer.hears("INVITE")
    assert second.cseq.number == first.cseq.number + 1
    ua.peer.answers(second, 200)
    await asyncio.gather(refreshing, offering)


async def test_our_second_offer_waits_even_if_the_first_offers_task_was_cancelled(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    refreshing = asyncio.ensure_future(leg.refresh())
    first = await ua.peer.hears("INVITE")
    refreshing.cancel()
    await asyncio.gather(refreshing, return_exceptions=True)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.4)
    assert ua.peer.count("INVITE") == 1
    ua.peer.answers(first, 486)
    ua.peer.answers(await ua.peer.hears("INVITE"), 200)
    await offering


async def test_waiting_offers_end_with_the_leg(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    offering = [asyncio.ensure_future(leg.refresh()), asyncio.ensure_future(leg.offer())]
    first = await ua.peer.hears("INVITE")
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(first, 200)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    ended = await asyncio.gather(*offering, return_exceptions=True)
    assert [type(each) for each in ended] == [LegEnded, LegEnded]
    await ua.assert_clean()


async def test_our_offer_raises_offer_pending_while_the_peers_is_unanswered(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.leaves_open = True
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(100)
    with pytest.raises(OfferPending):
        await leg.offer()


async def test_our_offer_waits_for_the_ack_of_our_last_2xx_rfc3261_14_1(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    reinvite_of_peer = from_callee(invite, "INVITE", body=OTHER)
    await ua.peer.says(reinvite_of_peer)
    await ua.peer.hears(200)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(0.2)
    assert ua.peer.count("INVITE") == 1
    await ua.peer.says(ack_from_callee(invite, reinvite_of_peer))
    ua.peer.answers(await ua.peer.hears("INVITE"), 200)
    await offering


async def test_a_media_failure_to_make_an_offer_is_raised_and_a_later_offer_succeeds(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        await leg.offer()
    leg.media.refuses = None
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 200)
    await offering


async def test_an_unusable_answer_to_our_reinvite_is_raised_and_the_leg_continues(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    leg.media.refuses = 488
    ua.peer.answers(reinvite, 200)
    with pytest.raises(OfferRefused):
        await offering
    assert not leg.ended.done()


async def test_a_rejected_reinvite_is_raised_and_the_leg_continues_rfc3261_14_1(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 488)
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


async def test_a_481_to_our_reinvite_ends_the_leg_rfc3261_12_2_1_2(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 481)
    with pytest.raises(Rejected):
        await offering
    assert leg.ended.result() is EndReason.UNREACHABLE
    ua.peer.answers(await ua.peer.hears("BYE"), 481)
    await ua.assert_clean()


async def test_a_reinvite_timeout_ends_the_leg_rfc3261_12_2_1_2(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    with pytest.raises(TransactionTimeout):
        await leg.offer()
    assert leg.ended.result() is EndReason.UNREACHABLE
    ua.peer.answers(await ua.peer.hears("BYE"), 481)
    await ua.assert_clean()


async def test_our_reinvite_crossing_a_bye_ends_with_the_leg_rfc5407_3_2_3(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    await ua.peer.says(messages.bye(INVITE, to_tag=ours.to_tag))
    reinvite = await ua.peer.hears("INVITE")
    with pytest.raises(LegEnded):
        await offering
    ua.peer.answers(reinvite, 481)
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()


async def test_a_reinvite_whose_task_was_cancelled_is_still_completed(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer())
    reinvite = await ua.peer.hears("INVITE")
    offering.cancel()
    await asyncio.gather(offering, return_exceptions=True)
    await ua.peer.says(from_callee(invite, "INVITE", body=OTHER))
    await ua.peer.hears(491)
    ua.peer.answers(reinvite, 200, body=OTHER)
    await ua.peer.hears("ACK")
    assert leg.media.calls[-1] == ("answered", OTHER)
    await ua.peer.says(from_callee(invite, "INVITE", 2, body=OTHER))
    await ua.peer.hears(200)


async def test_a_leg_that_ends_while_waiting_after_491_sends_no_further_reinvite(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 491)
    await asyncio.sleep(0.1)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    with pytest.raises(LegEnded):
        await offering
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 1
